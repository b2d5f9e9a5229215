# Given to llama.cpp's build as CMAKE_PROJECT_INCLUDE. A unity build compiles many files as one, which
# is three times as fast; these three define names that others define too, and stay on their own.
if(CMAKE_CURRENT_SOURCE_DIR STREQUAL CMAKE_SOURCE_DIR)
  function(keep_apart folder)
    list(TRANSFORM ARGN PREPEND "${CMAKE_SOURCE_DIR}/${folder}/")
    set_source_files_properties(
      ${ARGN}
      DIRECTORY "${CMAKE_SOURCE_DIR}/${folder}"
      PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
  endfunction()
  # Deferred: a folder's properties can be set only once the build knows the folder.
  cmake_language(DEFER CALL keep_apart common json.cpp)
  cmake_language(DEFER CALL keep_apart tools/mtmd mtmd-helper.cpp mtmd-helper-gen.cpp)
endif()
