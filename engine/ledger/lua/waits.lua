-- Units: goods in units. Which orders wait for what: by name (a SKU, or '' for room) the orders by rank, and of all names
-- the units waited for. A name is ripe, with an ascending number, from when something of it becomes available until all
-- orders under it were tried on that.
local WAITED, RIPE, INCOMING = P .. 'waited', P .. 'ripe', P .. 'incoming'

local function waits_key(name) return P .. 'waits:' .. name end

local function coming_key(sku) return P .. 'coming:' .. sku end

local function is_waiting(k) return #k.waits > 0 and WAITING[k.state] or false end

-- Put an order under the names it waits for (flat name, units), or take it away from there.
local function enlist(id, waits, rank, waiting)
  for at = 1, #waits, 2 do
    if waiting then
      call('ZADD', waits_key(waits[at]), rank, id)
    else
      call('ZREM', waits_key(waits[at]), id)
    end
  end
end

local waiting_units, waiting_names = {}, {} -- as this call sees them

-- Change by sign what an order that waits adds to the units of its names.
local function count_waits(k, sign)
  if not is_waiting(k) then return end
  for at = 1, #k.waits, 2 do
    local name = k.waits[at]
    if not waiting_units[name] then
      waiting_names[#waiting_names + 1] = name
      waiting_units[name] = tonumber(call('ZSCORE', WAITED, name) or 0)
    end
    waiting_units[name] = waiting_units[name] + sign * k.waits[at + 1]
  end
end

local function put_waited(body)
  body.waited = #waiting_names > 0 and {} or nil
  for k, name in ipairs(waiting_names) do
    body.waited[2 * k - 1], body.waited[2 * k] = name, waiting_units[name]
  end
end

local function ripen(name)
  if call('ZSCORE', WAITED, name) then call('ZADD', RIPE, call('HINCRBY', META, 'ripened', 1), name) end
end

-- What an entry means for names: units waited for, and what became available.
local function apply_waits(kind, body, raw)
  local waited, rows, days = body.waited or NONE, body.rows or NONE, body.days or NONE
  for at = 1, #waited, 2 do
    if call('EXISTS', waits_key(waited[at])) == 1 then
      call('ZADD', WAITED, waited[at + 1], waited[at])
    else
      call('ZREM', WAITED, waited[at])
      call('ZREM', RIPE, waited[at])
    end
  end
  if call('EXISTS', WAITED) == 0 then return end
  for at = 1, #rows, 2 do
    if rows[at + 1] >= 0 then ripen(rows[at]) end
  end
  for at = 1, #days, 2 do
    if days[at + 1] >= 0 then
      ripen('')
      break
    end
  end
  if kind == 'confirm' then -- what became available while the hold was soft was nobody's to wait for
    for at = 1, #waited, 2 do ripen(waited[at]) end
  elseif kind == 'skus' then
    for at = 1, #raw, 2 do ripen(raw[at]) end
  elseif kind == 'network' or kind == 'policy' then
    for _, name in ipairs(call('ZRANGE', WAITED, 0, -1)) do ripen(name) end
  end
end

-- Incoming units as an entry has them: id, sku, node, quantity, expected instant.
local function apply_incoming(incoming)
  for at = 1, #incoming, 5 do
    local id, before = incoming[at], call('HGET', INCOMING, incoming[at])
    if before then call('ZREM', coming_key(cmsgpack.unpack(before)[1]), id) end
    if incoming[at + 3] > 0 then
      call('ZADD', coming_key(incoming[at + 1]), incoming[at + 4], id)
      call('HSET', INCOMING, id, cmsgpack.pack({ unpack(incoming, at + 1, at + 4) }))
    else
      call('HDEL', INCOMING, id)
    end
  end
end
