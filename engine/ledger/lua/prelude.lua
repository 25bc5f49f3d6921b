-- Units: goods in units, instants in ms since the epoch, days since 1970-01-01; slots, rows and nodes count from 0.
-- Begins every script. The log is the truth: a script decides, appends one entry that holds absolute values, applies it.
local P = string.sub(KEYS[1], 1, -5) -- "{partition}:", from "{partition}:meta"
local META, LOG = KEYS[1], P .. 'log'
local GAIN, CELL, LOAD, USE = '<I4', '<I2i4i4i4i4', '<I4I4', '<BI4'
local NONE = {}
local call = redis.call

local function order_key(id) return P .. 'order:' .. id end
local function row_key(sku) return P .. 'stock:' .. sku end
local function day_key(day) return P .. 'load:' .. day end

-- A row's or day's gain; 0 if there is none.
local function gain_of(key)
  local packed = call('GETRANGE', key, 0, 3)
  return #packed == 4 and struct.unpack(GAIN, packed) or 0
end

local function version_of(name, first)
  return tonumber(call('HGET', META, name) or first)
end

-- Cells of known slots are written in place; a row that gets longer is written whole, so that it fits exactly.
local function apply_rows(body)
  local rows, cells, longer = body.rows or NONE, body.cells or NONE, {}
  for at = 1, #cells, 11 do
    local key, start = row_key(rows[2 * cells[at] + 1]), 4 + 18 * cells[at + 1]
    local slot = struct.pack(CELL, cells[at + 2], cells[at + 3], cells[at + 4], cells[at + 5], cells[at + 6])
    if body.moves and not longer[key] and call('STRLEN', key) < start + 18 then
      longer[key] = call('GET', key) or struct.pack(GAIN, 0)
    end
    local row = longer[key]
    if row then
      longer[key] = string.sub(row, 1, start) .. slot .. string.sub(row, start + 19)
    else
      call('SETRANGE', key, start, slot)
    end
  end
  for at = 1, #rows, 2 do
    local sku, gain = rows[at], rows[at + 1]
    local key = row_key(sku)
    if longer[key] then
      call('ZADD', P .. 'stocked', 0, sku)
      call('SET', key, struct.pack(GAIN, gain) .. string.sub(longer[key], 5))
    elseif gain >= 0 then
      call('SETRANGE', key, 0, struct.pack(GAIN, gain))
    end
  end
end

local function apply_days(body)
  local days, loads = body.days or NONE, body.loads or NONE
  for at = 1, #loads, 6 do
    call('SETRANGE', day_key(loads[at]), 4 + 8 * loads[at + 1], struct.pack(LOAD, loads[at + 2], loads[at + 3]))
  end
  for at = 1, #days, 2 do
    call('ZADD', P .. 'days', days[at], days[at])
    if days[at + 1] >= 0 then call('SETRANGE', day_key(days[at]), 0, struct.pack(GAIN, days[at + 1])) end
  end
end

-- What an order holds and went through: state, history (at, event), takes (sku, slot, node, units), loads.
local function state_of(at_ms, state, history, takes, loads)
  history[#history + 1] = at_ms
  history[#history + 1] = 'order.' .. state
  return cmsgpack.pack({ state, history, takes, loads })
end

local function apply_orders(body, raw, at_ms)
  for k, order in ipairs(body.orders or NONE) do
    local id, takes, named = raw[4 * k - 3], order[3], {}
    for at = 1, #takes, 4 do
      named[at], named[at + 1] = body.rows[2 * takes[at] + 1], takes[at + 1]
      named[at + 2], named[at + 3] = takes[at + 2], takes[at + 3]
    end
    local kept = state_of(at_ms, order[1], {}, named, order[4])
    call('HSET', order_key(id), 'c', raw[4 * k - 2], 'o', raw[4 * k - 1], 'd', raw[4 * k], 'm', kept)
    if order[2] ~= '' then call('SET', P .. 'idem:' .. order[2], id) end
  end
end

-- By kind of entry: what is not rows, days or node use.
local apply_kind = {
  commit = apply_orders,
  cancel = function(body, raw, at_ms)
    local history = {}
    for k, value in ipairs(body.history) do history[k] = value end
    call('HSET', order_key(raw[1]), 'm', state_of(at_ms, 'cancelled', history, {}, {}))
  end,
  stock = function(body)
    for at = 1, #body.moves, 3 do
      if body.moves[at + 1] ~= '' then call('SET', P .. 'move:' .. body.moves[at + 1], body.moves[at + 2]) end
    end
  end,
  skus = function(body, raw)
    for at = 1, #raw, 2 do
      call('HSET', P .. 'skus', raw[at], raw[at + 1])
      call('ZADD', P .. 'changed', body.version, raw[at])
    end
    call('HSET', META, 'catalog', body.version)
  end,
  policy = function(body, raw)
    call('SET', P .. 'policy', raw[2])
    call('HSET', META, 'policy', body.version)
  end,
  network = function(body, raw)
    call('SET', P .. 'network', raw[2])
    for at = 1, #body.nodes, 2 do call('HSET', P .. 'nodes', body.nodes[at], body.nodes[at + 1]) end
    call('HSET', META, 'network', body.version)
  end,
}

-- Make an entry's change: absolute values only, so that making it twice is making it once. The last write says: done.
local function apply(id, kind, body, raw)
  apply_rows(body)
  apply_days(body)
  local use = body.use or NONE
  for at = 1, #use, 3 do
    call('SETRANGE', P .. 'use', 5 * use[at], struct.pack(USE, use[at + 1], use[at + 2]))
  end
  apply_kind[kind](body, raw, tonumber(string.match(id, '^(%d+)')))
  call('HSET', META, 'applied', id)
end

-- Finish what a script that broke off between its entry and its last write left behind.
local function recover()
  for _, entry in ipairs(call('XRANGE', LOG, '(' .. (call('HGET', META, 'applied') or '0-0'), '+')) do
    local fields, raw = entry[2], {}
    for at = 7, #fields do raw[at - 6] = fields[at] end
    apply(entry[1], fields[2], cmsgpack.unpack(fields[4]), raw)
  end
end

-- After this line nothing may fail: every key was read, and so type-checked, while deciding.
local function append(kind, body, raw, record)
  local id = call('XADD', LOG, '*', 'k', kind, 'b', cmsgpack.pack(body), 'r', record or '', unpack(raw))
  apply(id, kind, body, raw)
  return id
end

recover()
