-- Units: instants in ms since the epoch. ARGV: skus, days, order ids (msgpack).
-- Returns {ms, network, policy, catalog versions, packed rows, packed days, content and decision per order}.
local skus, days, ids = unpack(cmsgpack.unpack(ARGV[1]))
local time = call('TIME')
local rows, loads, decided, keys = {}, {}, {}, {}
for k, sku in ipairs(skus) do keys[k] = row_key(sku) end
for first = 1, #keys, 4000 do -- as many values as one call may have, with room to spare
  for _, row in ipairs(call('MGET', unpack(keys, first, math.min(first + 3999, #keys)))) do rows[#rows + 1] = row end
end
for k, day in ipairs(days) do loads[k] = call('GET', day_key(day)) end
for k, id in ipairs(ids) do decided[k] = call('HMGET', order_key(id), 'c', 'd') end
return {
  time[1] * 1000 + math.floor(time[2] / 1000),
  version_of('network', 0), version_of('policy', 1), version_of('catalog', 0),
  rows, loads, decided,
}
