-- What Envoy's transcoder cannot do between OpenAI's JSON and the typed contract: request bodies are lifted,
-- `"stream": true` picks the streaming call, failures take OpenAI's shape, and the last, empty message of a
-- stream becomes `[DONE]`. Web pages of foreign origins are turned away.
--
-- One script with what stands in front of it: `contract`, which is generated, then json.lua, lift.lua and
-- limit.lua. Of requests, nothing here or there names a field but `stream`, `logprobs` and `extra_json`.

-- ## Errors

local TYPES = {
  [401] = "authentication_error", [403] = "permission_error", [404] = "not_found_error",
  [408] = "timeout_error", [429] = "rate_limit_error", [504] = "timeout_error",
}
-- https://grpc.io/docs/guides/status-codes/
local CODES = {
  "cancelled", "unknown", "invalid_argument", "deadline_exceeded", "not_found", "already_exists",
  "permission_denied", "resource_exhausted", "failed_precondition", "aborted", "out_of_range",
  "unimplemented", "internal", "unavailable", "data_loss", "unauthenticated",
}

-- The detail of a google.rpc.Status that is the whole answer already, or nil.
local function error_response(s, details)
  if byte(s, details) ~= OPEN_LIST then return nil end
  local at, more = first_element(s, details)
  while more do
    local detail = read_object(s, at, PLAIN)
    local name = raw_value(s, detail, "@type") or ""
    if detail.at.error and find(name, "[/\"]interference%.v1%.ErrorResponse\"$") then return detail end
    at, more = next_element(s, detail.stop)
  end
end

-- The error object with the members that OpenAI's always has.
local function whole_error(s, i)
  local fault = read_object(s, i, PLAIN)
  local members = {}
  for k = 1, #fault, WIDTH do members[#members + 1] = raw_member(s, fault, k) end
  for _, name in ipairs({ "param", "code" }) do
    if not fault.at[name] then members[#members + 1] = '"' .. name .. '":null' end
  end
  return "{" .. concat(members, ",") .. "}"
end

local function answer_of_detail(s, detail)
  local error_at = detail.at.error
  local members = { '{"error":' .. whole_error(s, detail[error_at + VALUE]) }
  for k = 1, #detail, WIDTH do
    local other = k ~= error_at and k ~= detail.at["@type"]
    -- Some routes print empty lists.
    if other and sub(s, detail[k + VALUE], detail[k + VALUE] + 1) ~= "[]" then
      members[#members + 1] = raw_member(s, detail, k)
    end
  end
  return concat(members, ",") .. "}"
end

local function answer_of_status(s, status, failure)
  local kind = TYPES[status] or (status < 500 and "invalid_request_error" or "api_error")
  local code = CODES[tonumber(raw_value(s, failure, "code"))] or "unknown"
  local message = raw_value(s, failure, "message") or '""'
  if message == '""' then message = '"The call failed: ' .. gsub(code, "_", " ") .. '."' end
  return format('{"error":{"message":%s,"type":"%s","param":null,"code":"%s"}}', message, kind, code)
end

local function shape_failure(s, status)
  members_left = MAX_MEMBERS
  local failure = read_object(s, after_space(s, 1), PLAIN)
  if failure.at.error then return s end -- by local_reply_config
  local details = failure.at.details
  local detail = details and error_response(s, failure[details + VALUE])
  return detail and answer_of_detail(s, detail) or answer_of_status(s, status, failure)
end

-- The body of a failed call in OpenAI's shape, from the google.rpc.Status that the transcoder wrote.
function shape_error(body, status)
  local understood, result = pcall(shape_failure, body, status)
  return understood and result or shape_failure("{}", status)
end

-- An error in OpenAI's shape in that of Anthropic, whose clients look for both types.
-- https://platform.claude.com/docs/en/api/errors
local function anthropic_error(text, status)
  if status == 413 then text = gsub(text, '"type":"invalid_request_error"', '"type":"request_too_large"', 1) end
  return '{"type":"error",' .. sub(text, 2)
end

-- The body of a failed call in the shape that its caller knows.
function shape_error_as(shape, body, status)
  local text = shape_error(body, status)
  return shape == "anthropic" and anthropic_error(text, status) or text
end

-- ## Answers

-- An answer whose fields are shown under other names. Within a JSON string no quote stands without a
-- backslash, so plain searches cannot be misled.
function shape_answer(text, printed)
  for field, name in pairs(printed) do
    local old, new = '"' .. field .. '":', '"' .. name .. '":'
    if find(text, old, 1, true) then text = gsub(text, old, new) end
  end
  return text
end

-- ## Envoy's side

-- What one half of the filter leaves for the other, and for local_reply_config: `param` is the member or the
-- header at fault, `logprobs` whether they were asked for, `shape` whose errors the caller knows, `route` one
-- whose answers are shown under other names, `foreign` whether the answer is in a dialect that the worker
-- writes itself.
local NOTES = "interference.edge"

local function note(handle, name, value)
  handle:streamInfo():dynamicMetadata():set(NOTES, name, value)
end

local function noted(handle, name)
  local notes = handle:streamInfo():dynamicMetadata():get(NOTES)
  return notes and notes[name]
end

-- What the worker tells callers in headers of ours: who answered, and who was asked.
local TOLD = {
  ["x-interference-provider"] = true,
  ["x-interference-model"] = true,
  ["x-interference-attempts"] = true,
}

-- Removes every header that begins so and is none of the `kept`.
local function strip(headers, prefixes, kept)
  local found = {}
  for name in pairs(headers) do
    for _, prefix in ipairs(prefixes) do
      if sub(name, 1, #prefix) == prefix and not kept[name] then found[#found + 1] = name end
    end
  end
  for _, name in ipairs(found) do headers:remove(name) end
end

-- As the transcoder decides it, or a body could pass both of us by.
local function speaks_grpc(headers)
  local kind = headers:get("content-type") or ""
  return kind == "application/grpc" or sub(kind, 1, 17) == "application/grpc+"
end

-- A page may call the address that it came from. Not by a name, though: a foreign site can point a name of
-- its own at this machine (DNS rebinding), so names are listed in the settings.
local function same_origin(origin, host)
  if match(origin, "^https?://(.+)$") ~= lower(host or "") then return false end
  local name = gsub(lower(host), ":%d+$", "")
  return name == "localhost" or find(name, "^%d+%.%d+%.%d+%.%d+$") ~= nil or find(name, "^%[.*%]$") ~= nil
end

local function may_call(origin, host)
  for _, pattern in ipairs(contract.origins) do
    if find(origin, pattern) then return true end
  end
  return same_origin(lower(origin), host)
end

-- Ends the request here; local_reply_config makes the body.
local function refuse(handle, status, message)
  handle:respond({ [":status"] = tostring(status) }, message)
end

local function refuse_large(handle)
  refuse(handle, 413, format("The body is larger than %d bytes.", contract.max_body_bytes))
end

local LARGE = 1048576

-- The whole body and its length, or nothing where the request has been refused for it.
--
-- Waiting for a body ends the life of every object that came before, headers too: they are asked for anew.
local function whole_body(handle)
  local announced = tonumber(handle:headers():get("content-length") or 0)
  if announced > contract.max_body_bytes then return refuse_large(handle) end
  local body = handle:body()
  local length = body and body:length() or 0
  if length > contract.max_body_bytes then return refuse_large(handle) end
  if length == 0 then return refuse(handle, 400, "The body is empty. Send a JSON object.") end
  return body, length
end

local function lift_request(handle, target)
  local body, length = whole_body(handle)
  if not body then return end
  if not target.message then return end -- goes to the worker as it is
  local before = body:getBytes(0, length)
  local text, stream, more = lift(before, target.message)
  if not text then
    if more then note(handle, "param", more) end
    return refuse(handle, 400, stream)
  end
  if more then note(handle, "logprobs", true) end
  local headers = handle:headers()
  if text ~= before then headers:replace("content-length", tostring(body:setBytes(text))) end
  if stream and target.stream_path then
    headers:replace(":path", target.stream_path .. (match(headers:get(":path"), "%?.*$") or ""))
  end
  -- What a large body leaves behind would stay until as much again has been made.
  if length > LARGE then collectgarbage() end
end

-- A body that failed to be lifted must not go on as it came: members would be lost without a word.
local function guarded(handle, work, target)
  local worked, reason = pcall(work, handle, target)
  if not worked then
    handle:logErr(tostring(reason))
    refuse(handle, 500, "The edge failed to read the body.")
  end
end

local function percent_decoded(text)
  local decoded = gsub(text, "%%(%x%x)", function(digits) return char(tonumber(digits, 16)) end)
  return find(decoded, "[^ -~]") and text or decoded -- as a header can hold it
end

-- `/api/{provider}/v1/...` is `/v1/...` asked of that provider, for clients that can name it nowhere but in
-- their base URL. The `/v1` may be missing.
function split_provider(path)
  local provider, rest = match(path, "^/api/([^/]+)(/.+)$")
  if not provider then return path end
  if sub(rest, 1, 4) ~= "/v1/" then rest = "/v1" .. rest end
  return rest, percent_decoded(provider)
end

-- What an `allow` header says of a path; nil for one that is not there.
local function methods_of(path)
  for _, known in ipairs(contract.methods) do
    if find(path, known.pattern) then return known.allow end
  end
end

-- Goes on as if the path without the provider had been asked for.
local function choose_provider(handle, path, provider)
  local headers = handle:headers()
  headers:replace(":path", path)
  headers:replace("x-interference-provider", provider)
  handle:clearRouteCache()
  handle:metadata() -- of the route, which is found by this before the path changes once more
end

-- Whose errors the callers of a path know: those of a path below it, too.
local function shape_of_path(path)
  for base, shape in pairs(contract.error_shapes) do
    if path == base or sub(path, 1, #base + 1) == base .. "/" then return shape end
  end
end

function envoy_on_request(handle)
  local headers = handle:headers()
  strip(headers, { "x-interference-", "x-envoy-" }, {})
  local path, query = match(headers:get(":path") or "", "^([^?]*)(.*)$")
  local own_path, provider = split_provider(path)
  local shape = shape_of_path(own_path)
  if shape then note(handle, "shape", shape) end
  local origin = headers:get("origin")
  if origin and not may_call(origin, headers:get(":authority")) then
    return refuse(handle, 403, "Pages of " .. origin .. " may not call this service.")
  end
  if speaks_grpc(headers) then return end
  local limit, wrong, name = time_limit(headers:get("grpc-timeout"), headers:get("x-request-timeout"))
  if wrong then
    note(handle, "param", name)
    return refuse(handle, 400, wrong)
  end
  if limit then
    headers:replace("x-request-timeout", limit)
    headers:remove("grpc-timeout")
  end
  local route = headers:get(":method") .. " " .. own_path
  local target = contract.bodies[route]
  local foreign = target and not target.message
  if foreign then
    -- Markers of versions, which the vendor's SDKs add (`?beta=true`).
    if query ~= "" then headers:replace(":path", path) end
    note(handle, "foreign", true)
  elseif #query > 1 and not shape then -- it could name what the path names already
    return refuse(handle, 400, "There are no query parameters here: " .. query)
  end
  if provider then
    local methods = methods_of(own_path)
    if methods and not find(" " .. methods .. ",", " " .. headers:get(":method") .. ",", 1, true) then
      -- The route that would say so is found too late.
      return handle:respond({ [":status"] = "405", allow = methods }, "")
    end
    choose_provider(handle, own_path, provider)
  end
  if not target then return end
  if target.printed then note(handle, "route", route) end
  guarded(handle, lift_request, target)
end

-- The server may say the exact HTTP status where the gRPC status has none of its own (413, 422, 304).
local function settle_status(headers)
  local status = tonumber(headers:get(":status"))
  local exact = match(headers:get("x-interference-status") or "", "^[345]%d%d$")
  if exact then headers:replace(":status", exact) end
  strip(headers, { "grpc-", "x-interference-", "x-envoy-", "trailer" }, TOLD)
  return tonumber(exact) or status
end

-- Puts what `shape` makes of the body in its place.
local function reshape(handle, shape)
  local body = handle:body(true)
  local text = shape(body:getBytes(0, body:length()))
  local headers = handle:headers()
  headers:replace("content-type", "application/json")
  headers:replace("content-length", tostring(body:setBytes(text)))
end

local function empty_body(handle)
  handle:body(true):setBytes("")
  local headers = handle:headers()
  headers:remove("content-length")
  headers:remove("content-type")
end

-- The server ends a stream that went well with an empty message.
local END, DONE = "data: {}\n\n", "data: [DONE]\n\n"
local USAGE, EXTRA, CHOICES = '"usage":{', '"extra":{', '"choices":'

-- An event that tells no more than the usage, or what a provider adds, has no choices. The transcoder leaves
-- them out, and clients loop over them. Where there are some, they stand before both.
local function with_choices(event)
  local usage, extra = find(event, USAGE, 1, true), find(event, EXTRA, 1, true)
  local told, choices = usage or extra, find(event, CHOICES, 1, true)
  if not told or choices and choices < math.min(told, extra or told) then return nil end
  return 'data: {"choices":[],' .. sub(event, 2) .. "\n\n"
end

-- An error has a `param`, null where no member of the request is at fault.
local FAILED, PARAM = 'data: {"error":{', '"param":'

local function with_param(event)
  if find(event, PARAM, 1, true) then return nil end
  return FAILED .. PARAM .. "null," .. event .. "\n\n"
end

-- Some whole events of a stream, as OpenAI's clients expect them. Within a JSON string no quote stands
-- without a backslash and no line ends, so plain searches cannot be misled.
function shape_events(text)
  if find(text, USAGE, 1, true) or find(text, EXTRA, 1, true) then
    text = gsub(text, "data: ({[^\n]*)\n\n", with_choices)
  end
  if find(text, FAILED, 1, true) then text = gsub(text, 'data: {"error":{([^\n]*)\n\n', with_param) end
  if sub(text, -#END) == END then text = sub(text, 1, -#END - 1) .. DONE end
  return text
end

-- A token has its list of others that were likely, empty where none was asked for: clients loop over it, and
-- the transcoder leaves empty lists out.
function shape_logprobs(text)
  if not find(text, '"logprobs":{', 1, true) or find(text, '"top_logprobs":', 1, true) then return text end
  return (gsub(text, '("logprob":%-?[%d.eE+-]+)([,}])', '%1,"top_logprobs":[]%2'))
end

local function shape_stream(handle, logprobs)
  for chunk in handle:bodyChunks() do
    local text = chunk:getBytes(0, chunk:length())
    local shaped = shape_events(text)
    if logprobs then shaped = shape_logprobs(shaped) end
    if shaped ~= text then chunk:setBytes(shaped) end
  end
end

function envoy_on_response(handle)
  local headers = handle:headers()
  if speaks_grpc(headers) then return end
  local status, kind = settle_status(headers), headers:get("content-type")
  if status == 304 then
    empty_body(handle)
  elseif status >= 400 and kind ~= "text/plain" then -- which is Envoy's own word to a gRPC-Web caller
    local shape = noted(handle, "shape")
    reshape(handle, function(body) return shape_error_as(shape, body, status) end)
  elseif kind == "text/event-stream" then
    headers:replace("cache-control", "no-cache")
    if not noted(handle, "foreign") then shape_stream(handle, noted(handle, "logprobs")) end
  elseif noted(handle, "logprobs") then
    reshape(handle, shape_logprobs)
  elseif noted(handle, "route") then
    local printed = contract.bodies[noted(handle, "route")].printed
    reshape(handle, function(body) return shape_answer(body, printed) end)
  end
  local trailers = handle:trailers()
  if trailers then strip(trailers, { "grpc-", "x-interference-", "retry-after" }, {}) end
end
