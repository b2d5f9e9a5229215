"""Which tests run in one process, where several processes share them: `pytest -n 2`."""

from xdist.scheduler import LoadScopeScheduling

_TOGETHER = ("tests/hostile/",)  # folders whose files share what takes long to make


class ByFile(LoadScopeScheduling):  # type: ignore[misc] # xdist has no types
    """The tests of a file run in one process, in their order, and so do those of such a folder."""

    def _split_scope(self, nodeid: str) -> str:
        file, _, _ = nodeid.partition("::")
        return next((folder for folder in _TOGETHER if file.startswith(folder)), file)
