-- Units: none. ARGV: name, least rank, most orders. Returns {what is ripe of the name, order id, rank, ...}.
local found = call('ZRANGEBYSCORE', waits_key(ARGV[1]), ARGV[2], '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[3])
return { call('ZSCORE', RIPE, ARGV[1]) or '', found }
