-- Units: instants in ms since the epoch. ARGV: least instant, how many of those to pass over, most. Returns {ms, and of each
-- order that may be decided again in the background until that instant or later {id, content, order, decision, kept,
-- current decision, entry of the record}}.
local found = call('ZRANGEBYSCORE', MOVABLE, ARGV[1], '+inf', 'LIMIT', ARGV[2], ARGV[3])
local orders = {}
for k, id in ipairs(found) do orders[k] = { id, unpack(call('HMGET', order_key(id), 'c', 'o', 'd', 'm', 'n', 'r')) } end
return { now_ms(), orders }
