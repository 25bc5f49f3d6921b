-- Units: versions count from 1. ARGV: document. Returns its version.
local version = (tonumber(call('HGET', P .. 'forecast', 'version')) or 0) + 1
append('forecast', { version = version }, { 'forecast', ARGV[1] })
return version
