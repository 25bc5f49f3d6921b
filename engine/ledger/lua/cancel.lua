-- Units: goods in units. ARGV: order id. Gives back all that the order holds. Returns 0 unknown, 1 already, 2 done.
local kept = call('HGET', order_key(ARGV[1]), 'm')
if not kept then return 0 end
local state, history, takes, wanted = unpack(cmsgpack.unpack(kept))
if state == 'cancelled' then return 1 end

local skus, index = {}, {}
for at = 1, #takes, 4 do
  local sku = takes[at]
  if not index[sku] then
    skus[#skus + 1] = sku
    index[sku] = #skus - 1
  end
  local c = cell(sku, index[sku], takes[at + 1])
  c[3] = c[3] - takes[at + 3]
end
local seen, body = {}, { history = history, days = {}, use = {} }
for at = 1, #wanted, 4 do
  local l = load(wanted[at], wanted[at + 1])
  l[5], l[6] = l[5] - wanted[at + 2], l[6] - wanted[at + 3]
  if not seen[l[1]] then
    seen[l[1]] = true
    body.days[#body.days + 1], body.days[#body.days + 2] = l[1], (gain_of(day_key(l[1])) + 1) % 4294967296
  end
end
put_overlay(body, skus)
for at = 1, #body.rows, 2 do body.rows[at + 1] = (gain_of(row_key(body.rows[at])) + 1) % 4294967296 end
local nodes, counted = {}, {}
for _, c in ipairs(touched) do -- a cell that held nothing but this order's units is not in use any more
  if c[5] == 0 and c[8] == 0 and c[6] + c[3] == 0 then
    if not counted[c[4]] then nodes[#nodes + 1] = c[4] end
    counted[c[4]] = (counted[c[4]] or 0) + 1
  end
end
for _, node in ipairs(nodes) do
  local present, count = struct.unpack(USE, call('GETRANGE', P .. 'use', 5 * node, 5 * node + 4))
  body.use[#body.use + 1], body.use[#body.use + 2], body.use[#body.use + 3] = node, present, count - counted[node]
end
append('cancel', body, { ARGV[1], '' })
return 2
