-- Units: versions count from 0, the empty catalogue. ARGV: sku, entry, ... Returns the new version.
local version = version_of('catalog', 0) + 1
call('HGET', P .. 'skus', '')
call('ZSCORE', P .. 'changed', '')
append('skus', { version = version }, ARGV)
return version
