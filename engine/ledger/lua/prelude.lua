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

