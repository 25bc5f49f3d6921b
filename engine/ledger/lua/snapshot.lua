-- Units: instants in ms since the epoch. ARGV: skus, days, order ids, idempotency keys (msgpack).
-- Returns {ms, network, policy, catalog versions, packed rows, packed days, content and decision per order,
-- evicted, indexes of unknown orders that may have left, the same for keys}.
local skus, days, ids, idempotency_keys = unpack(cmsgpack.unpack(ARGV[1]))
local time = call('TIME')
local rows, loads, decided, keys = {}, {}, {}, {}
for k, sku in ipairs(skus) do keys[k] = row_key(sku) end
for first = 1, #keys, 4000 do -- as many values as one call may have, with room to spare
  for _, row in ipairs(call('MGET', unpack(keys, first, math.min(first + 3999, #keys)))) do rows[#rows + 1] = row end
end
for k, day in ipairs(days) do loads[k] = call('GET', day_key(day)) end
for k, id in ipairs(ids) do decided[k] = call('HMGET', order_key(id), 'c', 'd') end
local orders_gone, keys_gone = {}, {}
if layers > 0 then
  for k, id in ipairs(ids) do
    if not decided[k][1] and perhaps_gone('o:' .. id) then orders_gone[#orders_gone + 1] = k - 1 end
  end
  for k, key in ipairs(idempotency_keys) do
    if call('EXISTS', P .. 'idem:' .. key) == 0 and perhaps_gone('k:' .. key) then keys_gone[#keys_gone + 1] = k - 1 end
  end
end
return {
  time[1] * 1000 + math.floor(time[2] / 1000),
  version_of('network', 0), version_of('policy', 1), version_of('catalog', 0),
  rows, loads, decided, evicted_now, orders_gone, keys_gone,
}
