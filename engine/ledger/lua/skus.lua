-- Units: versions count from 0, the empty catalogue. 
-- ARGV: version it replaces or -1 for any, then sku, entry, ... Returns the new version, or -1 if another is current.
local version, replaces = version_of('catalog', 0) + 1, table.remove(ARGV, 1)
if replaces ~= '-1' and tonumber(replaces) ~= version - 1 then return -1 end
call('HGET', P .. 'skus', '')
call('ZSCORE', P .. 'changed', '')
append('skus', { version = version }, ARGV)
return version
