-- Units: versions count from 1. Not in the log: prices are derived, and made anew when lost. ARGV: sheet.
-- Returns its version.
local version = call('HINCRBY', PRICES, 'version', 1)
call('HSET', PRICES, 'sheet', ARGV[1])
return version
