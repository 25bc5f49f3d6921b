-- Units: none. ARGV: names, least rank and most orders of each in turn (msgpack). Returns of each what is ripe of the name,
-- and {order id, rank, ...}.
local asked, queues = cmsgpack.unpack(ARGV[1]), {}
for at = 1, #asked, 3 do
  queues[#queues + 1] = call('ZSCORE', RIPE, asked[at]) or ''
  queues[#queues + 1] =
    call('ZRANGEBYSCORE', waits_key(asked[at]), asked[at + 1], '+inf', 'WITHSCORES', 'LIMIT', 0, asked[at + 2])
end
return queues
