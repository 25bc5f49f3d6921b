-- Units: instants in ms since the epoch. ARGV: about how many places to free, most orders to mark. Frees the units of lapsed
-- holds first, and marks orders only once all units that lapsed before are free. Returns how much was done.
local now = now_ms()
local due = call('ZRANGEBYSCORE', DUE, '-inf', now, 'LIMIT', 0, ARGV[1])
if #due > 0 then return free(due, '-inf', now, tonumber(ARGV[1])) end
local ids = call('ZRANGEBYSCORE', HOLDS, '-inf', now, 'LIMIT', 0, ARGV[2])
local raw = {} -- parts of an entry come in pairs
for k, id in ipairs(ids) do
  call('HEXISTS', order_key(id), 'l')
  raw[2 * k - 1], raw[2 * k] = id, ''
end
if #ids > 0 then append('lapse', { chunks = {} }, raw) end
return #ids
