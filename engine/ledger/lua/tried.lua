-- Units: none. ARGV: name, what was ripe of it before its orders were tried. Ripe no more, if nothing came since.
if (call('ZSCORE', RIPE, ARGV[1]) or '') == ARGV[2] then call('ZREM', RIPE, ARGV[1]) end
return 1
