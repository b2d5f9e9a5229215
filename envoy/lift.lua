-- Lifts OpenAI's loose JSON onto a message of the contract: names that the contract does not know move into
-- `extra_json` as JSON text, and fields with a `form` option take the shape that the transcoder reads.
--
-- What stays where it was is left to the transcoder to judge; what is moved into a string or dropped is
-- checked here to the letter, or a malformed body could become a well-formed one. Text is looked at once,
-- recursion follows the messages of the contract, and pieces are joined once, at the end.

-- The shape of an object whose members are all as they should be.
local PLAIN = { members = {}, extra = false }

local lifted_value

-- Where the walk is: by level, the member's name and, within a list, the element's place from 0.
local names, places, level = {}, {}, 0

local function whereabouts()
  local parts = {}
  for k = 1, level do
    parts[k] = names[k] .. (places[k] and "[" .. places[k] .. "]" or "")
  end
  return concat(parts, ".")
end

-- The transcoder's own words for a value of the wrong kind do not name the field.
local function refuse_kind(kind)
  error({ param = whereabouts(), expected = kind }, 0)
end

local function is_number(s, i)
  local b = byte(s, i)
  return b == 45 or b ~= nil and b >= 48 and b <= 57 -- minus, digits
end

local function is_kind(s, i, kind)
  local b = byte(s, i)
  if kind == "a string" then return b == QUOTE end
  if kind == "true or false" then return b == 102 or b == 116 end -- f, t
  return is_number(s, i)
end

-- The transcoder reads what is just below the least integer of 64 bits as a double, and rounds it up.
local LEAST = "9223372036854775808"

local function check_least(s, i)
  local digits = byte(s, i) == 45 and match(s, "^%d+", i + 1)
  if digits and #digits == #LEAST and digits > LEAST then refuse_kind("an integer of 64 bits") end
end

-- What a member may be, in words.
local function wanted(member)
  if member.numbers then return "a string, tokens (numbers), or a list of either" end
  if not member.repeated then return member.kind end
  return (member.shorthand or member.kind == "a string") and "a string or a list" or "a list"
end

-- Judges what kind of value a member has. Whether a number is whole, and how large, is the transcoder's to
-- say; that there is a value at all, of those who read it.
local function check_kind(s, i, member)
  local b = byte(s, i)
  if not member.kind or not find(s, '^[%[{"%d%-tf]', i) then return end
  if b == OPEN_LIST and member.repeated then return end
  if b == QUOTE and (member.shorthand or member.long) then return end
  if member.kind == "an object" then
    if b ~= OPEN_OBJECT or member.repeated then refuse_kind(wanted(member)) end
  elseif not is_kind(s, i, member.kind) then
    refuse_kind(wanted(member))
  end
end

-- Whether the member whose name begins at i has the name that the transcoder knows.
local function stays(s, i, member, shape)
  if not member then return not shape.extra end
  local last = i + #member.field
  return byte(s, last + 1) == QUOTE and sub(s, i + 1, last) == member.field
end

-- An object by its members, each once: the last of those with one name wins, in the place of the first.
-- A list with WIDTH entries a member: where its name, its value and what follows it begin, the field that it
-- is (or false), and its new value as pieces (or false). `at` has each one's first index by name.
local NAME, VALUE, STOP, FIELD, PIECES, WIDTH = 0, 1, 2, 3, 4, 5

-- No body that means something has this many members to walk over; one that means harm is not to hold up
-- the worker thread.
local MAX_MEMBERS = 200000
local members_left

local function read_object(s, i, shape)
  local at, last, changed = {}, 0, false
  local object = { at = at, stop = 0, changed = false }
  level = level + 1
  local value, name, name_at = first_member(s, i)
  while name do
    members_left = members_left - 1
    if members_left < 0 then malformed(name_at, "at most " .. MAX_MEMBERS .. " members") end
    local member = shape.members[name]
    names[level], places[level] = name, nil
    local stop, pieces = lifted_value(s, value, member, shape.extra)
    local key = member and member.field or name
    local k = at[key]
    if k then
      changed = true
      after_value(s, object[k + VALUE], true) -- is dropped here, so nobody else will judge it
    else
      k = last + 1
      last = last + WIDTH
      at[key] = k
    end
    changed = changed or pieces or not stays(s, name_at, member, shape)
    object[k + NAME], object[k + VALUE], object[k + STOP] = name_at, value, stop
    object[k + FIELD], object[k + PIECES] = member and key or false, pieces or false
    value, name, name_at = next_member(s, stop)
  end
  level = level - 1
  object.stop, object.changed = value, changed
  return object
end

local function raw_member(s, object, k)
  return sub(s, object[k + NAME], object[k + STOP] - 1)
end

local function raw_value(s, object, name)
  local k = object.at[name]
  return k and sub(s, object[k + VALUE], object[k + STOP] - 1)
end

-- The object's text, as pieces that may hold further pieces.
local function write_object(s, object, shape)
  local pieces, n, separator = {}, 0, "{"
  local extras
  for k = 1, #object, WIDTH do
    local field = object[k + FIELD]
    if field then
      pieces[n + 1] = separator .. '"' .. field .. '":'
      pieces[n + 2] = object[k + PIECES] or sub(s, object[k + VALUE], object[k + STOP] - 1)
      n, separator = n + 2, ","
    elseif shape.extra then
      extras = extras or {}
      extras[#extras + 1] = raw_member(s, object, k)
    else
      pieces[n + 1], pieces[n + 2] = separator, raw_member(s, object, k)
      n, separator = n + 2, ","
    end
  end
  if extras then
    pieces[n + 1] = separator .. '"extra_json":'
    pieces[n + 2] = quoted("{" .. concat(extras, ",") .. "}")
    n = n + 2
  end
  pieces[n + 1] = "}"
  return pieces
end

local function lifted_object(s, i, shape)
  local first = after_space(s, i + 1)
  if byte(s, first) == CLOSE_OBJECT then return first + 1 end
  local object = read_object(s, i, shape)
  return object.stop, object.changed and write_object(s, object, shape)
end

-- The position after a list of strings or numbers. Of a null or a list in it the transcoder says nothing.
local function after_list_of(s, i, kind)
  local at, more = first_element(s, i)
  local place = places[level]
  local n = 0
  while more do
    places[level] = n
    if not is_kind(s, at, kind) then refuse_kind(kind) end
    at, more = next_element(s, after_value(s, at))
    n = n + 1
  end
  places[level] = place
  return at
end

-- The values of a map: of a null the transcoder makes an empty one.
local function check_values(s, i, kind)
  if byte(s, after_space(s, i + 1)) == CLOSE_OBJECT then return end
  local value, name = first_member(s, i)
  while name do
    if not is_kind(s, value, kind) then refuse_kind("an object whose values are each " .. kind) end
    value, name = next_member(s, after_value(s, value))
  end
end

-- A bare value, as the object in which it is the only member.
local function wrapped(field, s, i)
  local stop = after_value(s, i)
  return stop, { '{"' .. field .. '":', sub(s, i, stop - 1), "}" }
end

local function lifted_element(s, i, member, shape)
  local b = byte(s, i)
  if member.numbers and b == QUOTE then return wrapped(member.shorthand, s, i) end
  if member.numbers and b == OPEN_LIST then
    after_list_of(s, i, "a number")
    return wrapped(member.numbers, s, i)
  end
  if b ~= OPEN_OBJECT then refuse_kind(member.numbers and "a string or a list of numbers" or "an object") end
  return lifted_object(s, i, shape)
end

-- A list whose elements are lifted where they are objects, or may be bare.
local function lifted_list(s, i, member, shape)
  local parts, n, from = {}, 0, i
  local at, more = first_element(s, i)
  local place = 0
  while more do
    places[level] = place
    local stop, piece = lifted_element(s, at, member, shape)
    place = place + 1
    if piece then
      parts[n + 1], parts[n + 2] = sub(s, from, at - 1), piece
      n, from = n + 2, stop
    end
    at, more = next_element(s, stop)
  end
  if n == 0 then return at end
  parts[n + 1] = sub(s, from, at - 1)
  return at, parts
end

-- A member's value: the position after it, and its new text in pieces where it has one. Without `member`,
-- the value of a name that the contract does not know; `moves` is whether that leaves its place.
function lifted_value(s, i, member, moves)
  if not member then return after_value(s, i, moves) end
  local b = byte(s, i)
  check_kind(s, i, member)
  if member.long then check_least(s, i) end
  if member.text then
    local stop = after_value(s, i, true)
    local text = sub(s, i, stop - 1)
    return stop, text ~= "null" and quoted(text)
  elseif member.kind == "a string" and b == OPEN_LIST then
    return after_list_of(s, i, member.kind)
  elseif member.split and b == QUOTE then
    local stop = after_checked_string(s, i)
    return stop, words(sub(s, i + 1, stop - 2))
  elseif member.shorthand and b == QUOTE then
    local stop, pieces = wrapped(member.shorthand, s, i)
    return stop, member.repeated and { "[", pieces, "]" } or pieces
  elseif member.numbers and b == OPEN_LIST and is_number(s, first_element(s, i)) then
    after_list_of(s, i, "a number")
    local stop, pieces = wrapped(member.numbers, s, i)
    return stop, { "[", pieces, "]" }
  elseif member.map and b == OPEN_OBJECT then
    check_values(s, i, member.values)
    return lifted_object(s, i, PLAIN)
  elseif member.message and b == OPEN_OBJECT then
    return lifted_object(s, i, contract.messages[member.message])
  elseif member.message and member.repeated and b == OPEN_LIST then
    return lifted_list(s, i, member, contract.messages[member.message])
  end
  return after_value(s, i)
end

-- Puts the pieces after the n that are in `flat`; gives how many are there then.
local function flatten(pieces, flat, n)
  for k = 1, #pieces do
    local piece = pieces[k]
    if type(piece) == "table" then
      n = flatten(piece, flat, n)
    else
      n = n + 1
      flat[n] = piece
    end
  end
  return n
end

local function lift_document(s, shape)
  members_left = MAX_MEMBERS
  local i = after_space(s, 1)
  if byte(s, i) ~= OPEN_OBJECT then malformed(i, "an object") end
  local object = read_object(s, i, shape)
  local stop = after_space(s, object.stop)
  if stop <= #s then malformed(stop, "nothing after the object") end
  local stream = raw_value(s, object, "stream") == "true"
  if not object.changed then return s, stream end
  local flat = {}
  flatten(write_object(s, object, shape), flat, 0)
  return concat(flat), stream
end

-- Lifts a REST body onto a message of the contract. Gives the new body, and whether it asks for a stream; for
-- what is not a JSON object of the message's kinds, nil, what is wrong, and which member is at fault.
function lift(body, message)
  level = 0
  local well_formed, result, stream = pcall(lift_document, body, contract.messages[message])
  if well_formed then return result, stream end
  if type(result) ~= "table" then error(result, 0) end
  if result.param then return nil, format("%s must be %s.", result.param, result.expected), result.param end
  return nil, format("The body is not valid JSON: expected %s at byte %d.", result.expected, result.at)
end
