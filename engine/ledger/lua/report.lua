-- Units: none. ARGV: name, JSON. Keeps what was last found; no part of what the log tells.
call('HSET', P .. 'reports', ARGV[1], ARGV[2])
return 1
