-- Units: instants in ms since the epoch. ARGV: order id, command, command id or ''. See the table of states.
-- Returns {answer, state}: 0 unknown, 1 applied before, 2 done, 3 refused, 4 the command id was another's.
local UNKNOWN, ALREADY, DONE, REFUSED, OTHER = 0, 1, 2, 3, 4
local id, name, command_id = ARGV[1], ARGV[2], ARGV[3]
local found = call('HMGET', order_key(id), 'm', 'l', 'k:' .. command_id)
if not found[1] then return { UNKNOWN, 'new' } end
if found[3] then
  local of, state = string.match(found[3], '^(%l+)\n(.*)$')
  return { of == name and ALREADY or OTHER, of == name and state or '' }
end
local k, now = kept_of(found[1], found[2]), now_ms()
call('ZSCORE', HOLDS, id)
call('ZSCORE', MOVABLE, id)
local state = judged(k, now)
local target = NEXT[state][name]
if not target then return { REFUSED, state } end
if target == 'same' then return { ALREADY, state } end
if state ~= k.state then
  settle(id, k)
  k = kept_at(order_key(id))
end
if target == 'firm' then target = k.firm end
local body, skus = { chunks = {}, days = {}, state = target, revision = k.revision + 1 }, {}
if k.state == 'held' then soften_order(k.takes, k.loads, k.deadline, -1) end
if name == 'release' or name == 'cancel' then move_kept(k, skus, {}, -1) end
put_gains(body, put_overlay(body, skus))
put_soft(body)
count_waits(k, -1)
k.state, k.waits = target, (name == 'release' or name == 'cancel') and NONE or k.waits
count_waits(k, 1)
put_waited(body)
append(name, body, { id, command_id })
return { DONE, target }
