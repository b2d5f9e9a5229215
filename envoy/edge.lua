-- What Envoy's transcoder cannot do between OpenAI's JSON and the typed contract: request bodies are lifted,
-- `"stream": true` picks the streaming call, and failures take the shape that the caller knows. Web pages of
-- foreign origins are turned away.
--
-- One script with what stands in front of it: `contract`, which is generated, then json.lua, lift.lua, limit.lua
-- and failure.lua. Of requests, nothing here or there names a field but `stream` and `extra_json`.

-- What one half of the filter leaves for the other, and for local_reply_config: `param` is the member or the
-- header at fault, `shape` whose errors the caller knows.
local NOTES = "interference.edge"

local function note(handle, name, value)
  handle:streamInfo():dynamicMetadata():set(NOTES, name, value)
end

local NOTHING = {}

local function noted(handle)
  return handle:streamInfo():dynamicMetadata():get(NOTES) or NOTHING
end

-- What the worker tells callers in headers of ours: who answered, and who was asked.
local TOLD = { "x-interference-provider", "x-interference-model", "x-interference-attempts" }

-- As the transcoder decides it, or a body could pass both of us by.
local function is_grpc(kind)
  return kind == "application/grpc" or kind ~= nil and sub(kind, 1, 17) == "application/grpc+"
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
  local text, stream, param = lift(before, target.message)
  if not text then
    if param then note(handle, "param", param) end
    return refuse(handle, 400, stream)
  end
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
  local path, query = match(headers:get(":path") or "", "^([^?]*)(.*)$")
  local own_path, provider = split_provider(path)
  local shape = shape_of_path(own_path)
  if shape then note(handle, "shape", shape) end
  local origin = headers:get("origin")
  if origin and not may_call(origin, headers:get(":authority")) then
    return refuse(handle, 403, "Pages of " .. origin .. " may not call this service.")
  end
  if is_grpc(headers:get("content-type")) then return end
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
  if target and not target.message then -- in a vendor's own dialect
    -- Markers of versions, which the vendor's SDKs add (`?beta=true`).
    if query ~= "" then headers:replace(":path", path) end
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
  guarded(handle, lift_request, target)
end

-- The server may say the exact HTTP status where the gRPC status has none of its own (413, 422, 304).
local function exact_status(headers)
  local exact = match(headers:get("x-interference-status") or "", "^[345]%d%d$")
  if exact then headers:replace(":status", exact) end
  return tonumber(exact or headers:get(":status"))
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

-- Whether what the worker tells comes behind the answer: a whole one's need not be sent before it, and the
-- transcoder has put its status in front.
local function tells_behind(headers)
  return headers:get("grpc-status") ~= nil and not headers:get("x-interference-provider")
end

-- Shows as headers what the worker tells in the trailers of a body that has been waited for.
local function tell(handle)
  local trailers = handle:trailers()
  if not trailers then return end
  local headers = handle:headers()
  for _, name in ipairs(TOLD) do
    local value = trailers:get(name)
    if value then headers:replace(name, value) end
  end
end

function envoy_on_response(handle)
  local headers = handle:headers()
  local kind = headers:get("content-type")
  if is_grpc(kind) then return end
  local status, behind = exact_status(headers), tells_behind(headers)
  if status == 304 then
    empty_body(handle)
  elseif status >= 400 and kind ~= "text/plain" then -- which is Envoy's own word to a gRPC-Web caller
    local shape = noted(handle).shape
    reshape(handle, function(body) return shape_error_as(shape, body, status) end)
  elseif kind == "text/event-stream" then
    headers:replace("cache-control", "no-cache")
    return
  elseif behind then
    handle:body(true) -- until then the headers can be changed
  end
  if behind then tell(handle) end
end

-- LuaJIT cannot follow calls into Envoy: it would begin to compile these again and again, and never with gain.
-- https://luajit.org/ext_jit.html
for _, calls_envoy in ipairs({
  note, noted, whole_body, lift_request, guarded, exact_status, reshape, tells_behind, tell, envoy_on_request,
  envoy_on_response,
}) do
  jit.off(calls_envoy)
end
