-- Units: instants in ms since the epoch. ARGV: skus, days, order ids, one id or '' to tell all of, its command id,
-- idempotency keys, SKUs of which to tell what is to come in, orders of which to tell what they hold. Returns {ms, network,
-- policy, catalog versions, packed rows, packed days, content and decision per order, lapsed, whether more lapsed, what is kept of the one order, evicted, indexes of unknown orders that may have left, the
-- same for keys, names that are ripe, units waited for and packed incoming units (with id) per SKU, version of the prices,
-- what is kept of the orders asked for}. `lapsed`: index of row (or day, from #skus on), member, ...
local skus, days, ids, one, command_id, idempotency_keys, expecting, moving = unpack(cmsgpack.unpack(ARGV[1]))
local INCOMING_MAX = 500
local now = now_ms()
local rows, loads, decided, keys, fields, place = {}, {}, {}, {}, {}, {}
for k, sku in ipairs(skus) do
  keys[k], fields[k] = row_key(sku), 's' .. sku
  place[fields[k]] = k - 1
end
for k, day in ipairs(days) do
  fields[#skus + k] = 'd' .. day
  place['d' .. day] = #skus + k - 1
end
for first = 1, #keys, 4000 do -- as many values as one call may have, with room to spare
  for _, row in ipairs(call('MGET', unpack(keys, first, math.min(first + 3999, #keys)))) do rows[#rows + 1] = row end
end
for k, day in ipairs(days) do loads[k] = call('GET', day_key(day)) end
for k, id in ipairs(ids) do decided[k] = call('HMGET', order_key(id), 'c', 'd') end
local lapsed = {}
for _, field in ipairs(due_of(fields, now)) do
  if #lapsed >= 2 * LAPSED_MAX then break end
  for _, member in ipairs(call('ZRANGEBYSCORE', soft_key(field), '-inf', now, 'LIMIT', 0, LAPSED_MAX - #lapsed / 2)) do
    lapsed[#lapsed + 1], lapsed[#lapsed + 2] = place[field], member
  end
end
local standing = NONE
if one ~= '' then
  standing = call('HMGET', order_key(one), 'c', 'o', 'd', 'm', 'n', 'r', 'k:' .. command_id, 'l')
  if standing[8] then standing[4] = packed_order(kept_of(standing[4], standing[8])) end
end
local orders_gone, keys_gone = {}, {}
if layers > 0 then
  for k, id in ipairs(ids) do
    if not decided[k][1] and perhaps_gone('o:' .. id) then orders_gone[#orders_gone + 1] = k - 1 end
  end
  for k, key in ipairs(idempotency_keys) do
    if call('EXISTS', P .. 'idem:' .. key) == 0 and perhaps_gone('k:' .. key) then keys_gone[#keys_gone + 1] = k - 1 end
  end
end
local ripe, expected = {}, {}
if call('EXISTS', RIPE) == 1 then
  for _, sku in ipairs(skus) do
    if call('ZSCORE', RIPE, sku) then ripe[#ripe + 1] = sku end
  end
  if call('ZSCORE', RIPE, '') then ripe[#ripe + 1] = '' end
end
for k, sku in ipairs(expecting) do
  local coming = {}
  for n, id in ipairs(call('ZRANGE', coming_key(sku), 0, INCOMING_MAX - 1)) do
    coming[2 * n - 1], coming[2 * n] = id, call('HGET', INCOMING, id)
  end
  expected[k] = { tonumber(call('ZSCORE', WAITED, sku) or 0), coming }
end
local held = {}
for k, id in ipairs(moving) do held[k] = call('HGET', order_key(id), 'm') end
return {
  now, version_of('network', 0), version_of('policy', 1), version_of('catalog', 0),
  rows, loads, decided, lapsed, #lapsed >= 2 * LAPSED_MAX and 1 or 0, standing, evicted_now, orders_gone, keys_gone,
  ripe, expected, tonumber(call('HGET', PRICES, 'version') or 0), held,
}
