-- Answers as OpenAI's clients expect them, or Anthropic's: failures, whole answers and the events of streams.
-- Text goes in, text comes out; what needs nothing comes out as it is.

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

-- ## Streams

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
