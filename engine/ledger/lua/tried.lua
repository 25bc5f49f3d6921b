-- Units: none. ARGV: names, and what was ripe of each before its orders were tried, in turn (msgpack). Ripe no more, if
-- nothing came since.
local tried = cmsgpack.unpack(ARGV[1])
for at = 1, #tried, 2 do
  if (call('ZSCORE', RIPE, tried[at]) or '') == tried[at + 1] then call('ZREM', RIPE, tried[at]) end
end
return 1
