-- Failures as OpenAI's clients expect them, or Anthropic's. Text goes in, text comes out.

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
