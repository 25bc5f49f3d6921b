-- Units: versions count from 1, the built-in default. ARGV: document. Returns the new version.
local version = version_of('policy', 1) + 1
call('GET', P .. 'policy')
append('policy', { version = version }, { 'policy', ARGV[1] })
return version
