-- Units: goods in units, instants in ms since the epoch, days since 1970-01-01; slots, rows and nodes count from 0.
-- Begins every script. The log is the truth: a script decides, appends one entry that holds absolute values, applies it.
local P = string.sub(KEYS[1], 1, -5) -- "{partition}:", from "{partition}:meta"
local META, LOG = KEYS[1], P .. 'log'
local GAIN, CELL, LOAD, USE = '<I4', '<I2i4i4i4i4', '<I4I4', '<BI4'
local PRICES = P .. 'prices'
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
