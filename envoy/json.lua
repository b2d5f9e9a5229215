-- Reads JSON in place: a position in the text goes in, the position after what was read comes out. Whatever
-- is not JSON (RFC 8259) raises `{ at = position, expected = words }`.
--
-- Texts are megabytes of mostly long strings, and this runs on Envoy's worker threads, so: long strings are
-- crossed by plain `find`, loops over bytes are ones that LuaJIT compiles, and nothing recurses.

local byte, find, gsub, match, sub = string.byte, string.find, string.gsub, string.match, string.sub
local char, format, lower = string.char, string.format, string.lower
local concat, floor = table.concat, math.floor

local QUOTE, COMMA, COLON, BACKSLASH = 34, 44, 58, 92
local OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT = 91, 93, 123, 125
-- Deeper than anything real, and no deeper than the JSON parsers behind us go.
local MAX_DEPTH = 500

-- ## Values

local function malformed(i, expected)
  error({ at = i, expected = expected }, 0)
end

local function after_space(s, i)
  local b = byte(s, i)
  while b == 32 or b == 10 or b == 13 or b == 9 do
    i = i + 1
    b = byte(s, i)
  end
  return i
end

-- A string whose inside is left to the transcoder.
local function after_string(s, i)
  local from = i + 1
  while true do
    local quote = find(s, '"', from, true)
    if not quote then malformed(i, "a string that ends") end
    local before = quote - 1
    while byte(s, before) == BACKSLASH do before = before - 1 end
    if (quote - before) % 2 == 1 then return quote + 1 end
    from = quote + 1
  end
end

-- The well-formed UTF-8 sequences of more than one byte, by the first byte (Unicode, table 3-7): how many
-- bytes follow, and the range of the first of them.
local function after_character(s, i)
  local a, b = byte(s, i, i + 1)
  local more, low, high = 1, 0x80, 0xBF
  if a >= 0xE0 then more = 2 end
  if a >= 0xF0 then more = 3 end
  if a == 0xE0 then low = 0xA0 elseif a == 0xED then high = 0x9F end
  if a == 0xF0 then low = 0x90 elseif a == 0xF4 then high = 0x8F end
  if a < 0xC2 or a > 0xF4 or not b or b < low or b > high then malformed(i, "UTF-8") end
  for k = i + 2, i + more do
    b = byte(s, k)
    if not b or b < 0x80 or b > 0xBF then malformed(i, "UTF-8") end
  end
  return i + more + 1
end

local ESCAPES = { [34] = 2, [47] = 2, [92] = 2, [98] = 2, [102] = 2, [110] = 2, [114] = 2, [116] = 2 }

-- A string whose inside is checked.
local function after_checked_string(s, i)
  i = i + 1
  while true do
    local b = byte(s, i)
    if b == QUOTE then return i + 1 end
    if not b or b < 32 then malformed(i, "a string that ends") end
    if b == BACKSLASH then
      local length = ESCAPES[byte(s, i + 1)] or find(s, "^u%x%x%x%x", i + 1) and 6
      if not length then malformed(i, "an escape that JSON knows") end
      i = i + length
    elseif b < 128 then
      i = i + 1
    else
      i = after_character(s, i)
    end
  end
end

local function after_digits(s, i)
  local from, b = i, byte(s, i)
  while b and b >= 48 and b <= 57 do
    i = i + 1
    b = byte(s, i)
  end
  if i == from then malformed(i, "a value") end
  return i
end

local function after_number(s, i)
  if byte(s, i) == 45 then i = i + 1 end -- minus
  i = byte(s, i) == 48 and i + 1 or after_digits(s, i) -- nothing follows a leading zero
  if byte(s, i) == 46 then i = after_digits(s, i + 1) end -- point
  local b = byte(s, i)
  if b == 101 or b == 69 then -- e, E
    b = byte(s, i + 1)
    i = after_digits(s, (b == 43 or b == 45) and i + 2 or i + 1)
  end
  return i
end

local WORDS = { [102] = "false", [110] = "null", [116] = "true" }

local function after_word(s, i)
  local word = WORDS[byte(s, i)]
  if not word then return after_number(s, i) end
  if sub(s, i, i + #word - 1) ~= word then malformed(i, "`" .. word .. "`") end
  return i + #word
end

-- The value of a member: past its name, which is checked, and the colon.
local function after_name(s, i)
  if byte(s, i) ~= QUOTE then malformed(i, "a member name in double quotes") end
  local stop = after_checked_string(s, i)
  local colon = after_space(s, stop)
  if byte(s, colon) ~= COLON then malformed(colon, "a colon") end
  return after_space(s, colon + 1), stop
end

-- A list or an object. Keeps the brackets that are open in a list of its own instead of recursing.
local function after_nested(s, i, checked)
  local closing, depth = {}, 0
  while true do
    local b = byte(s, i)
    local opened = false
    if b == QUOTE then
      i = checked and after_checked_string(s, i) or after_string(s, i)
    elseif b == OPEN_OBJECT or b == OPEN_LIST then
      i = after_space(s, i + 1)
      opened = byte(s, i) ~= b + 2
      if opened then
        depth = depth + 1
        if depth > MAX_DEPTH then malformed(i, "at most " .. MAX_DEPTH .. " levels") end
        closing[depth] = b + 2
      else
        i = i + 1
      end
    else
      i = after_word(s, i)
    end
    while not opened and depth > 0 do
      i = after_space(s, i)
      b = byte(s, i)
      if b == COMMA then
        i = after_space(s, i + 1)
        break
      end
      if b ~= closing[depth] then malformed(i, "a comma or `" .. char(closing[depth]) .. "`") end
      depth = depth - 1
      i = i + 1
    end
    if depth == 0 then return i end
    if closing[depth] == CLOSE_OBJECT then i = after_name(s, i) end
  end
end

-- Any value. `checked` is whether the insides of its strings are, too.
local function after_value(s, i, checked)
  local b = byte(s, i)
  if b == QUOTE then return checked and after_checked_string(s, i) or after_string(s, i) end
  if b == OPEN_OBJECT or b == OPEN_LIST then return after_nested(s, i, checked) end
  return after_word(s, i)
end

-- ## Strings

local function utf8(code)
  if code < 0x80 then return char(code) end
  if code < 0x800 then return char(0xC0 + floor(code / 0x40), 0x80 + code % 0x40) end
  local tail = char(0x80 + floor(code / 0x40) % 0x40, 0x80 + code % 0x40)
  if code < 0x10000 then return char(0xE0 + floor(code / 0x1000)) .. tail end
  return char(0xF0 + floor(code / 0x40000), 0x80 + floor(code / 0x1000) % 0x40) .. tail
end

-- The character of the escape `\uXXXX` whose digits begin at i, and the position after it.
local function escaped_character(text, i)
  local code = tonumber(sub(text, i, i + 3), 16)
  if code < 0xD800 or code > 0xDFFF then return utf8(code), i + 4 end
  local low = code < 0xDC00 and match(text, "^\\u([dD][c-fC-F]%x%x)", i + 4)
  if not low then malformed(i, "a pair of surrogates") end
  return utf8(0x10000 + (code - 0xD800) * 0x400 + tonumber(low, 16) - 0xDC00), i + 10
end

local UNESCAPED = { b = "\b", f = "\f", n = "\n", r = "\r", t = "\t" }

-- What stands between the quotes of a checked string.
local function unescaped(text)
  local parts, n, from = {}, 0, 1
  local slash = find(text, "\\", 1, true)
  while slash do
    local letter, what = sub(text, slash + 1, slash + 1), nil
    local before = sub(text, from, slash - 1)
    if letter == "u" then
      what, from = escaped_character(text, slash + 2)
    else
      what, from = UNESCAPED[letter] or letter, slash + 2
    end
    parts[n + 1], parts[n + 2] = before, what
    n = n + 2
    slash = find(text, "\\", from, true)
  end
  parts[n + 1] = sub(text, from)
  return concat(parts)
end

-- Replaces one character everywhere. `gsub` looks at every byte by itself, which pays where there is much to
-- replace; `find` is faster where there is little, as in base64.
local function replaced(text, old, new)
  local at = find(text, old, 1, true)
  if not at then return text end
  local parts, n, from = {}, 0, 1
  while at and n < 1000 do
    n = n + 1
    parts[n] = sub(text, from, at - 1)
    from = at + 1
    at = find(text, old, from, true)
  end
  parts[n + 1] = at and gsub(sub(text, from), old, new) or sub(text, from)
  return concat(parts, new)
end

local ESCAPED = { ["\\"] = "\\\\", ['"'] = '\\"', ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }

-- A JSON string that holds the text of a checked JSON value.
local function quoted(text)
  if #text < 1000 then return '"' .. gsub(text, '[\\"\n\r\t]', ESCAPED) .. '"' end
  text = replaced(replaced(text, "\\", "\\\\"), '"', '\\"')
  text = replaced(replaced(replaced(text, "\n", "\\n"), "\r", "\\r"), "\t", "\\t")
  return '"' .. text .. '"'
end

-- A JSON list of the words between the quotes of a checked string.
local function words(text)
  text = match(gsub(unescaped(text), "[ \t\n\r\v\f]+", " "), "^ ?(.-) ?$")
  if text == "" then return "[]" end
  local list = gsub(quoted(text), " ", '","')
  return "[" .. gsub(list, "%c", function(c) return format("\\u%04x", byte(c)) end) .. "]"
end

-- ## Stepping through objects and lists

-- The member whose name begins at i: where its value begins, its name unescaped, and i. At the end of the
-- object: the position after it, and no name.
local function member_at(s, i)
  local value, stop = after_name(s, i)
  local name = sub(s, i + 1, stop - 2)
  if find(name, "\\", 1, true) then name = unescaped(name) end
  return value, name, i
end

local function first_member(s, i)
  i = after_space(s, i + 1)
  if byte(s, i) == CLOSE_OBJECT then return i + 1 end
  return member_at(s, i)
end

local function next_member(s, i)
  i = after_space(s, i)
  local b = byte(s, i)
  if b == CLOSE_OBJECT then return i + 1 end
  if b ~= COMMA then malformed(i, "a comma or `}`") end
  return member_at(s, after_space(s, i + 1))
end

-- The element of a list that begins after i, and true. At the end: the position after the list.
local function first_element(s, i)
  i = after_space(s, i + 1)
  if byte(s, i) == CLOSE_LIST then return i + 1, false end
  return i, true
end

local function next_element(s, i)
  i = after_space(s, i)
  local b = byte(s, i)
  if b == CLOSE_LIST then return i + 1, false end
  if b ~= COMMA then malformed(i, "a comma or `]`") end
  return after_space(s, i + 1), true
end
