-- Units: goods in units; nodes by number from 0. One order: routed by the rule of route.py and written, or answered as it was.
-- KEYS: idempotency key, decision, events, then the stock of each line (a hash: units by node).
-- ARGV: order id, content, nodes by distance (a byte each), the order, terms, then line id, SKU and quantity of each line.
-- NAMES, the node ids by number, stands before this text.
local call = redis.call

local known = call('GET', KEYS[1])
if known then return known == ARGV[2] and call('GET', KEYS[2]) or redis.error_reply('CONFLICT other content') end

local lines, near = {}, { string.byte(ARGV[3], 1, -1) }
for k = 4, #KEYS do
  local flat, stock, at = call('HGETALL', KEYS[k]), {}, 6 + 3 * (k - 4)
  for i = 1, #flat, 2 do stock[tonumber(flat[i])] = tonumber(flat[i + 1]) end
  lines[k - 3] = { key = KEYS[k], id = ARGV[at], sku = ARGV[at + 1], wanted = tonumber(ARGV[at + 2]), stock = stock }
end

local function has_all(node)
  for _, line in ipairs(lines) do
    if (line.stock[node] or 0) < line.wanted then return false end
  end
  return true
end

local boxes, order_of = {}, {}
local function text(line, units)
  return '{"line_id":"' .. line.id .. '","sku":"' .. line.sku .. '","quantity":' .. units .. '}'
end
local function take(line, node, units)
  call('HINCRBY', line.key, node, -units)
  line.wanted = line.wanted - units
  if not boxes[node] then
    boxes[node] = {}
    order_of[#order_of + 1] = node
  end
  table.insert(boxes[node], text(line, units))
end

local function nearest(line, units)
  for _, node in ipairs(near) do
    if (line.stock[node] or 0) >= units then return node end
  end
end

local whole
for _, node in ipairs(near) do
  if has_all(node) then
    whole = node
    break
  end
end
local left = {}
for _, line in ipairs(lines) do
  local node = whole or nearest(line, line.wanted)
  if node then
    take(line, node, line.wanted)
  else
    for _, some in ipairs(near) do
      local units = math.min(line.wanted, line.stock[some] or 0)
      if units > 0 then take(line, some, units) end
    end
    if line.wanted > 0 then left[#left + 1] = text(line, line.wanted) end
  end
end

local parcels = {}
for k, node in ipairs(order_of) do
  parcels[k] = '{"node_id":"' .. NAMES[node + 1] .. '","carrier":"usps","service":"ground","lines":['
    .. table.concat(boxes[node], ',') .. ']}'
end
local status = #parcels == 0 and 'refused' or #left > 0 and 'partially_allocated' or 'allocated'
local decision = '{"order_id":"' .. ARGV[1] .. '","status":"' .. status .. '","parcels":[' .. table.concat(parcels, ',')
  .. '],"unallocated":[' .. table.concat(left, ',') .. '],"terms":"' .. ARGV[5] .. '"}'
call('SET', KEYS[2], decision)
call('SET', KEYS[1], ARGV[2])
call('XADD', KEYS[3], '*', 'type', 'order.decided', 'order', ARGV[4])
return decision
