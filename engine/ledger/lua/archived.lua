-- Units: entry ids are ms-number. ARGV: archive, the last entry it holds, entry before which the log may go, most to go.
-- Returns entries gone, -1 if another archive has what left, -2 if more than what is archived was to go.
local function before(a, b)
  local ms_a, n_a = string.match(a, '^(%d+)-(%d+)$')
  local ms_b, n_b = string.match(b, '^(%d+)-(%d+)$')
  ms_a, ms_b, n_a, n_b = tonumber(ms_a), tonumber(ms_b), tonumber(n_a), tonumber(n_b)
  return ms_a < ms_b or (ms_a == ms_b and n_a < n_b)
end

local archive, known, trimmed = call('HGET', META, 'archive'), ARGV[2], call('HGET', META, 'trimmed')
if archive == ARGV[1] then
  known = call('HGET', META, 'archived')
  if before(known, ARGV[2]) then known = ARGV[2] end
elseif archive and (trimmed or call('HGET', META, 'evicted')) then
  return -1
end
local applied = call('HGET', META, 'applied') or '0-0'
if before(applied, known) then known = applied end
if before(known, ARGV[3]) then return -2 end
-- At its memory limit a store still lets a script finish that has begun with freeing: this one must get through.
call('DEL', P .. 'freeing')
call('HSET', META, 'archive', ARGV[1], 'archived', known)
if ARGV[3] == '0-0' then return 0 end
if not trimmed or before(trimmed, ARGV[3]) then call('HSET', META, 'trimmed', ARGV[3]) end
local gone = call('XTRIM', LOG, 'MINID', '~', ARGV[3], 'LIMIT', ARGV[4])
call('HINCRBY', META, 'trimmed_entries', gone)
return gone
