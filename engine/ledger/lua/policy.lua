-- Units: versions count from 1, which is the built-in policy `default` and the set that holds only it. Editions are the
-- versions of one policy. ARGV: policy id, document. Returns the new edition.
local id = ARGV[1]
local before = tonumber(call('HGET', P .. 'policies', id)) or (id == 'default' and 1 or 0)
call('HLEN', P .. 'policy:' .. id)
append('policy', { version = version_of('policy', 1) + 1, edition = before + 1 }, { id, ARGV[2] })
return before + 1
