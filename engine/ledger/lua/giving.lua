-- Units: goods in units. Giving back what orders held: the overlay's other direction.
local softs, softened = {}, {}

-- The member of a field at a deadline for a chunk; from here on the entry has it, and with one of an earlier version all
-- that it is divided into.
local function soft_of(field, deadline, chunk)
  local name = deadline .. field
  softs[name] = softs[name] or {}
  if not softs[name][chunk] then
    for _, member in ipairs(members(field, deadline, deadline, -1, { [chunk] = true })) do
      if not softs[name][member.chunk] then
        softs[name][member.chunk], softened[#softened + 1] = member, { field, member }
      end
    end
  end
  if not softs[name][chunk] then
    softs[name][chunk] = { deadline, chunk = chunk }
    softened[#softened + 1] = { field, softs[name][chunk] }
  end
  return softs[name][chunk]
end

-- Change the units of soft holds that lapse at a deadline: of a slot ('s' fields) or a node ('d' fields).
local function soften(field, deadline, place, units, parcels)
  local member = soft_of(field, deadline, chunk_of(place))
  local at = 2
  while member[at] and member[at] ~= place do at = at + 3 end
  member[at], member[at + 1], member[at + 2] = place, (member[at + 1] or 0) + units, (member[at + 2] or 0) + parcels
end

-- Change the soft units of an order's takes (sku, slot, node, units) and loads by sign.
local function soften_order(takes, wanted, deadline, sign)
  for at = 1, #takes, 4 do soften('s' .. takes[at], deadline, takes[at + 1], sign * takes[at + 3], 0) end
  for at = 1, #wanted, 4 do
    soften('d' .. wanted[at], deadline, wanted[at + 1], sign * wanted[at + 3], sign * wanted[at + 2])
  end
end

-- Put a member into an entry; what it has no units of any more is left out.
local function put_member(body, field, member)
  local places = {}
  for at = 2, #member, 3 do
    if member[at + 1] ~= 0 or member[at + 2] ~= 0 then
      places[#places + 1], places[#places + 2], places[#places + 3] = member[at], member[at + 1], member[at + 2]
    end
  end
  for _, value in ipairs({ field, member[1], member.chunk, places }) do body.chunks[#body.chunks + 1] = value end
end

local function put_soft(body)
  for _, s in ipairs(softened) do put_member(body, s[1], s[2]) end
end

-- Change what an order holds by sign; SKUs that are new here join `skus` and `rows` (by SKU).
local function move_kept(k, skus, rows, sign)
  for at = 1, #k.takes, 4 do
    local sku = k.takes[at]
    if not rows[sku] then rows[sku], skus[#skus + 1] = #skus, sku end
    local c = cell(sku, rows[sku], k.takes[at + 1])
    c[3] = c[3] + sign * k.takes[at + 3]
  end
  for at = 1, #k.loads, 4 do
    local l = load(k.loads[at], k.loads[at + 1])
    l[5], l[6] = l[5] + sign * k.loads[at + 2], l[6] + sign * k.loads[at + 3]
  end
end

-- New gains of rows and days of which anything became free (by 1, or by `amounts` of row and day), and node use.
local function put_gains(body, index, row_amounts, day_amounts)
  local rows, days, nodes, counted = {}, {}, {}, {}
  for _, c in ipairs(touched) do
    if c[3] < 0 and not rows[c[1]] then
      rows[c[1]] = true
      local gain = 2 * index[c[1]] + 2
      local sku = body.rows[gain - 1]
      body.rows[gain] = (gain_of(row_key(sku)) + (row_amounts and row_amounts[c[1]] or 1)) % 4294967296
    end
    if c[3] < 0 and c[5] == 0 and c[8] == 0 and c[6] + c[3] == 0 then -- not in use any more
      if not counted[c[4]] then nodes[#nodes + 1] = c[4] end
      counted[c[4]] = (counted[c[4]] or 0) + 1
    end
  end
  for _, l in ipairs(loaded) do
    if (l[5] < 0 or l[6] < 0) and not days[l[1]] then
      days[l[1]] = true
      local gain = gain_of(day_key(l[1])) + (day_amounts and day_amounts[l[1]] or 1)
      body.days[#body.days + 1], body.days[#body.days + 2] = l[1], gain % 4294967296
    end
  end
  body.use = {}
  for _, node in ipairs(nodes) do
    local present, count = struct.unpack(USE, call('GETRANGE', P .. 'use', 5 * node, 5 * node + 4))
    body.use[#body.use + 1], body.use[#body.use + 2], body.use[#body.use + 3] = node, present, count - counted[node]
  end
end

-- Those of these fields of which something has lapsed by now.
local function due_of(fields, now)
  local due = {}
  if #call('ZRANGEBYSCORE', DUE, '-inf', now, 'LIMIT', 0, 1) == 0 then return due end
  for first = 1, #fields, 4000 do
    local last = math.min(first + 3999, #fields)
    for k, score in ipairs(call('ZMSCORE', DUE, unpack(fields, first, last))) do
      if score and tonumber(score) <= now then due[#due + 1] = fields[first + k - 1] end
    end
  end
  return due
end

local LAPSED_MAX = 2000 -- members of a field of which one call is told, or in which one call looks for its places

-- The chunks of places.
local function chunks_of(places)
  local chunks = {}
  for place in pairs(places) do chunks[chunk_of(place)] = true end
  return chunks
end

-- Take the units of the members between two deadlines out of rows and days: those of the places `wanted` by field, all
-- without it. Stops at the member that makes it `limit` places; returns how many.
local function free(fields, first, last, limit, wanted)
  local skus, rows, body, row_amounts, day_amounts, count = {}, {}, { chunks = {}, days = {} }, {}, {}, 0
  local function give_back(field, place, units, parcels)
    local name = string.sub(field, 2)
    if string.byte(field) == 115 then
      if not rows[name] then rows[name], skus[#skus + 1] = #skus, name end
      local c = cell(name, rows[name], place)
      c[3] = c[3] - units
      row_amounts[rows[name]] = (row_amounts[rows[name]] or 0) + units
    else
      local l = load(tonumber(name), place)
      l[5], l[6] = l[5] - parcels, l[6] - units
      day_amounts[l[1]] = (day_amounts[l[1]] or 0) + units + parcels
    end
  end
  for _, field in ipairs(fields) do
    if count >= limit then break end
    local mine = wanted and wanted[field]
    local most = mine and LAPSED_MAX or limit - count
    local found, divided = members(field, first, last, most, mine and chunks_of(mine))
    for _, member in ipairs(found) do
      if count >= limit and not divided[member[1]] then break end
      local before = count
      for at = 2, #member, 3 do
        if not mine or mine[member[at]] then
          give_back(field, member[at], member[at + 1], member[at + 2])
          member[at + 1], member[at + 2], count = 0, 0, count + 1
        end
      end
      if count > before or divided[member[1]] then put_member(body, field, member) end
    end
  end
  if count > 0 then
    put_gains(body, put_overlay(body, skus), row_amounts, day_amounts)
    append('free', body, {})
  end
  cells, touched, loads, loaded = {}, {}, {}, {}
  return count
end

-- A row's or day's gain as readers see it: with what has lapsed and was not freed yet.
local function seen_gain(field, key, now)
  local gain, due = gain_of(key), call('ZSCORE', DUE, field)
  if not due or tonumber(due) > now then return gain end
  for _, member in ipairs(members(field, '-inf', now, -1)) do
    for at = 2, #member, 3 do gain = gain + member[at + 1] + member[at + 2] end
  end
  return gain % 4294967296
end

-- The places of some takes and loads by field, and the fields.
local function places_of()
  local places, fields = {}, {}
  return places, fields, function(field, place)
    if not places[field] then places[field], fields[#fields + 1] = {}, field end
    places[field][place] = true
  end
end

-- Write down that an order's hold has lapsed.
local function settle(id, k)
  local places, fields, add = places_of()
  for at = 1, #k.takes, 4 do add('s' .. k.takes[at], k.takes[at + 1]) end
  for at = 1, #k.loads, 4 do add('d' .. k.loads[at], k.loads[at + 1]) end
  free(fields, k.deadline, k.deadline, math.huge, places)
  append('lapse', { chunks = {} }, { id, '' })
end
