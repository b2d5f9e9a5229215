-- How long a REST caller would wait, in either of the two headers that say it: in, what they hold; out, one
-- number of seconds, which the worker reads.

local GRPC_UNITS = { H = 3600, M = 60, S = 1, m = 1e-3, u = 1e-6, n = 1e-9 }
local UNITS = { [""] = 1, ms = 1e-3, s = 1, m = 60 }

-- Seconds as a plain decimal number, to the nanosecond.
local function decimal(seconds)
  return (gsub(gsub(format("%.9f", seconds), "0+$", ""), "%.$", ""))
end

-- Seconds of a `grpc-timeout`, or nil.
-- https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
local function grpc_seconds(text)
  local digits, unit = match(text, "^(%d+)([HMSmun])$")
  return digits and #digits <= 8 and tonumber(digits) * GRPC_UNITS[unit]
end

-- Seconds of an `x-request-timeout`, or nil.
local function seconds(text)
  local number, unit = match(text, "^([%d.]+)(m?s?)$")
  local is_number = number and #number <= 16 and (find(number, "^%d+$") or find(number, "^%d+%.%d+$"))
  return is_number and tonumber(number) * UNITS[unit]
end

-- What the worker takes, in seconds. A deadline of gRPC's may well be outside, and is moved to the nearest.
local LEAST_LIMIT, MOST_LIMIT = 0.001, 3600

-- The `x-request-timeout` that stands for those two headers of a REST call, the smaller where both are there;
-- nil where neither is. For one that is malformed, nil, what is wrong, and with which.
--
-- gRPC would end a call at its own deadline without a word of the attempts; the worker tells of them.
function time_limit(grpc_timeout, request_timeout)
  local ours = request_timeout and seconds(request_timeout)
  local theirs = grpc_timeout and grpc_seconds(grpc_timeout)
  if grpc_timeout and not theirs then
    return nil, "grpc-timeout must be a number of at most 8 digits and a unit: 2S, 500m.", "grpc-timeout"
  elseif request_timeout and not ours then
    local wanted = "a number of seconds, or one with a unit (ms, s, m): 2, 0.5, 500ms."
    return nil, "x-request-timeout must be " .. wanted, "x-request-timeout"
  end
  theirs = theirs and math.max(LEAST_LIMIT, math.min(theirs, MOST_LIMIT))
  local least = ours and theirs and math.min(ours, theirs) or ours or theirs
  return least and decimal(least)
end
