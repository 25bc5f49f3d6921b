-- Units: versions count from 1. ARGV: matrix id, matrix, network version it was checked against, 1 if that one uses it.
-- Returns {matrix version, network version}, or {-1} if another network is current.
local network, version = version_of('network', 0), version_of('matrices', 0) + 1
if tonumber(ARGV[3]) ~= network then return { -1 } end
call('HGET', P .. 'matrices', '')
call('HGET', P .. 'matrix_versions', '')
local id, matrix = ARGV[1], ARGV[2]
if ARGV[4] == '1' then
  network = network + 1
  local body = { version = network, matrices = version, nodes = {}, use = {} }
  append('network', body, { 'network', call('GET', P .. 'network'), id, matrix })
else
  append('matrix', { matrices = version }, { id, matrix })
end
return { version, network }
