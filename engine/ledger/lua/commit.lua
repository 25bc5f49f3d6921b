-- Units: goods in units, instants and durations in ms. ARGV: the batch (msgpack), its record, all documents (id,
-- content, order, decision each). A proposal: state, idempotency key, takes, loads, short rows, short days, duration
-- of a soft hold or false, {command, revision seen, token, digest, reason, excluded nodes, saving, nodes before} of one
-- decided again or false, flat (name, units) of what waits, rank, until when it may be decided again in the background.
local COMMITTED, REPEAT, CONFLICT, KEY_CONFLICT, LOST, STALE = 1, 2, 3, 4, 5, 6
local LOAD_MAX, FREE_MAX, FREE_FEW, GRID = 4294967295, 100, 25, 10
local now = now_ms()
local batch = cmsgpack.unpack(ARGV[1])
local window, network, policy, skus, gains, days, day_gains, gave_up_rows, gave_up_days, proposals, sizes = unpack(batch)
local evicted, recorded, together = batch[12], batch[13], batch[14]
local documents, place = {}, 1 -- order id, content, order and decision of proposal k from 4 * k - 3 on
for k, size in ipairs(sizes) do
  documents[k], place = string.sub(ARGV[3], place, place + size - 1), place + size
end
local stale = version_of('network', 0) ~= network or version_of('policy', 1) ~= policy
local mine, keys, rests_on = {}, {}, {} -- order id and idempotency key to proposal; proposal to the earlier one it rests on
local verdicts, decisions, made_before = {}, {}, {}
local row_gains, seen_days, given_up_row, given_up_day = {}, {}, {}, {}
for _, row in ipairs(gave_up_rows) do given_up_row[row] = true end
for _, day in ipairs(gave_up_days) do given_up_day[day] = true end
local olds, settled, rows_by_sku = {}, {}, {} -- what an order decided again held; proposals whose hold had lapsed
for k, sku in ipairs(skus) do rows_by_sku[sku] = k - 1 end

local function id_of(k) return documents[4 * k - 3] end

local function row_by_sku(sku)
  if not rows_by_sku[sku] then rows_by_sku[sku], skus[#skus + 1] = #skus, sku end
  return rows_by_sku[sku]
end

-- Whether a proposal adds to what its order has.
local function fills(k) return proposals[k][8] and proposals[k][8][1] == 'fill' end

-- The verdict on an order to be decided again, if it is known already; else what it holds is noted.
local function known_again(k, again)
  local stored = call('HMGET', order_key(id_of(k)), 'd', 'm', 'l', 'k:' .. again[3])
  if not stored[2] or mine[id_of(k)] then return LOST end
  if stored[4] and again[1] ~= 'fill' then
    local digest, decision = string.match(stored[4], '^([^\n]*)\n(.*)$')
    if digest ~= again[4] then return KEY_CONFLICT end
    return REPEAT, decision
  end
  local old = kept_of(stored[2], stored[3])
  if again[1] == 'replace' and old.token == again[3] then return REPEAT, stored[1] end
  if old.revision ~= again[2] + (settled[k] and 1 or 0) then return LOST end
  if not NEXT[judged(old, now)][again[1]] then return LOST end
  olds[k] = old
end

-- The verdict on an order id or idempotency key that is known, with the decision that stands; nil for a new one.
local function known(k, key)
  local id, first = id_of(k), mine[id_of(k)]
  local content, decision
  if first then
    rests_on[k], content, decision = first, documents[4 * first - 2], documents[4 * first]
  else
    local stored = call('HMGET', order_key(id), 'c', 'd')
    content, decision = stored[1], stored[2]
  end
  if content and content ~= documents[4 * k - 2] then return CONFLICT end
  if key ~= '' then
    local user = call('GET', P .. 'idem:' .. key) or (keys[key] and id_of(keys[key]))
    if user and user ~= id then
      rests_on[k] = keys[key] or rests_on[k]
      return KEY_CONFLICT
    end
  end
  if content then
    made_before[k] = not first and decision == documents[4 * k]
    return REPEAT, decision
  end
end

-- Whether anything that a proposal claims to have run out of came back since the snapshot.
local function came_back(proposal)
  for _, row in ipairs(proposal[5]) do
    row_gains[row] = row_gains[row] or seen_gain('s' .. skus[row + 1], row_key(skus[row + 1]), now)
    if row_gains[row] ~= gains[row + 1] or given_up_row[row] then return true end
  end
  for _, day in ipairs(proposal[6]) do
    seen_days[day] = seen_days[day] or seen_gain('d' .. days[day + 1], day_key(days[day + 1]), now)
    if seen_days[day] ~= day_gains[day + 1] or given_up_day[day] then return true end
  end
  return false
end

-- Change what the first `takes` and `loads` values of a proposal took, by sign.
local function move(proposal, takes, loads_end, sign)
  for at = 1, takes, 5 do
    local c = cell(skus[proposal[3][at] + 1], proposal[3][at], proposal[3][at + 1])
    c[3] = c[3] + sign * proposal[3][at + 3]
  end
  for at = 1, loads_end, 6 do
    local l = load(days[proposal[4][at] + 1], proposal[4][at + 1])
    l[5], l[6] = l[5] + sign * proposal[4][at + 2], l[6] + sign * proposal[4][at + 3]
  end
end

-- What an order decided again held before is free for it, unless its new decision adds to that.
local function move_old(k, sign)
  if olds[k] and not fills(k) then move_kept(olds[k], skus, rows_by_sku, sign) end
end

-- Take all cells and loads of a proposal, or nothing.
local function take(proposal)
  local takes, wanted = proposal[3], proposal[4]
  for at = 1, #takes, 5 do
    local c = cell(skus[takes[at] + 1], takes[at], takes[at + 1])
    local free = c and c[5] - c[6] - c[3] - c[8] - (c[7] < 0 and takes[at + 4] or c[7])
    if not c or c[4] ~= takes[at + 2] or free < takes[at + 3] then
      move(proposal, at - 1, 0, -1)
      return false
    end
    c[3] = c[3] + takes[at + 3]
  end
  for at = 1, #wanted, 6 do
    local l = load(days[wanted[at] + 1], wanted[at + 1])
    local parcels, units = l[3] + l[5] + wanted[at + 2], l[4] + l[6] + wanted[at + 3]
    local parcels_max = wanted[at + 4] < 0 and LOAD_MAX or math.min(wanted[at + 4], LOAD_MAX)
    local units_max = wanted[at + 5] < 0 and LOAD_MAX or math.min(wanted[at + 5], LOAD_MAX)
    if parcels > parcels_max or units > units_max then
      move(proposal, #takes, at - 1, -1)
      return false
    end
    l[5], l[6] = l[5] + wanted[at + 2], l[6] + wanted[at + 3]
  end
  return true
end

-- Whether an order or its key may have been decided, and have left the store, since the snapshot.
local function left_since(k, key)
  if evicted_now == evicted then return false end
  return perhaps_gone('o:' .. id_of(k)) or (key ~= '' and perhaps_gone('k:' .. key))
end

local function decide(k, proposal)
  local verdict, decision
  if proposal[8] then
    verdict, decision = known_again(k, proposal[8])
  else
    verdict, decision = known(k, proposal[2])
  end
  if verdict then return verdict, decision end
  if stale or (not proposal[8] and left_since(k, proposal[2])) then return STALE end
  move_old(k, -1)
  if came_back(proposal) or not take(proposal) then
    move_old(k, 1)
    return LOST
  end
  mine[id_of(k)] = k
  if proposal[2] ~= '' then keys[proposal[2]] = k end
  return COMMITTED
end

-- All of the call or nothing of it; what its orders held is free for any of them.
local function decide_together()
  local verdict = stale and STALE
  for k, proposal in ipairs(proposals) do
    verdict = known_again(k, proposal[8]) or (olds[k].state ~= proposal[1] and LOST) or verdict
    mine[id_of(k)] = k
  end
  for k = 1, verdict and 0 or #proposals do move_old(k, -1) end
  for _, proposal in ipairs(proposals) do
    verdict = verdict or (not take(proposal) and LOST)
  end
  for k = 1, #proposals do verdicts[k], decisions[k] = verdict or COMMITTED, false end
end

-- Undo what rested on takes that are not made: claims of shortage, and verdicts on the same order or key.
local function cascade()
  local row_claims, day_claims, resting, waiting = {}, {}, {}, {}
  local function add(lists, place, k)
    lists[place] = lists[place] or {}
    table.insert(lists[place], k)
  end
  for k, proposal in ipairs(proposals) do
    if rests_on[k] then add(resting, rests_on[k], k) end
    if verdicts[k] == COMMITTED then
      for _, row in ipairs(proposal[5]) do add(row_claims, row, k) end
      for _, day in ipairs(proposal[6]) do add(day_claims, day, k) end
    elseif not made_before[k] then
      waiting[#waiting + 1] = k
    end
  end
  local function lose(claimers)
    for _, k in ipairs(claimers or NONE) do
      if verdicts[k] == COMMITTED then
        move(proposals[k], #proposals[k][3], #proposals[k][4], -1)
        move_old(k, 1)
        verdicts[k] = LOST
        waiting[#waiting + 1] = k
        for _, other in ipairs(resting[k] or NONE) do verdicts[other], decisions[other] = LOST, false end
      end
    end
  end
  while #waiting > 0 do
    local proposal = proposals[table.remove(waiting)]
    for at = 1, #proposal[3], 5 do lose(row_claims[proposal[3][at]]) end
    for at = 1, #proposal[4], 6 do lose(day_claims[proposal[4][at]]) end
  end
end

-- When a soft hold lapses, 0 for never: on a grid, so that holds of one instant lapse as one. A re-route keeps it.
local function deadline_of(k, proposal)
  if proposal[8] and proposal[8][1] == 'reroute' then return olds[k].deadline end
  if fills(k) and olds[k].state ~= 'backordered' then return 0 end
  return proposal[7] and math.ceil((now + proposal[7]) / GRID) * GRID or 0
end

-- One order of the entry; `row` tells the entry's place of a row.
local function order_of(k, proposal, row)
  local from, takes, wanted, n, m, old = proposal[3], {}, {}, 0, 0, olds[k]
  if fills(k) then
    for at = 1, #old.takes, 4 do
      takes[n + 1], takes[n + 2], takes[n + 3], takes[n + 4] =
        row(row_by_sku(old.takes[at])), old.takes[at + 1], old.takes[at + 2], old.takes[at + 3]
      n = n + 4
    end
    for at, value in ipairs(old.loads) do wanted[at], m = value, at end
  end
  for at = 1, #from, 5 do
    takes[n + 1], takes[n + 2], takes[n + 3], takes[n + 4] = row(from[at]), from[at + 1], from[at + 2], from[at + 3]
    n = n + 4
  end
  from = proposal[4]
  for at = 1, #from, 6 do
    wanted[m + 1], wanted[m + 2], wanted[m + 3] = days[from[at] + 1], from[at + 1], from[at + 2]
    wanted[m + 4], m = from[at + 3], m + 4
  end
  local again, order, state = proposal[8], { proposal[1], proposal[2], takes, wanted }, proposal[1]
  if fills(k) and old.state == 'ready' then state = 'ready' end
  order[1] = state
  local deadline = n > 0 and deadline_of(k, proposal) or 0
  if deadline > 0 then
    for at = 1, #proposal[3], 5 do
      soften('s' .. skus[proposal[3][at] + 1], deadline, proposal[3][at + 1], proposal[3][at + 3], 0)
    end
    soften_order(NONE, wanted, deadline, 1)
    order[1] = 'held'
  end
  local waits, rank, closes = proposal[9], proposal[10], proposal[11]
  if deadline > 0 or again or #waits > 0 or closes > 0 then
    order[5], order[6], order[7] = deadline, state, false
    if again then order[7] = { again[1], old.revision + 1, unpack(again, 3) } end
    if #waits > 0 or closes > 0 then order[8], order[9] = waits, rank end
    if closes > 0 then order[10] = closes end
  end
  if old then count_waits(old, -1) end
  count_waits({ state = order[1], waits = waits }, 1)
  if old and old.state == 'held' then soften_order(old.takes, old.loads, old.deadline, -1) end
  return order
end

-- The entry of all proposals that stand, and its opaque parts; nil if none does.
local function entry()
  local body, raw = { window = window, orders = {}, days = {}, chunks = {}, record = recorded ~= '' and recorded or nil }, {}
  local index = put_overlay(body, skus)
  local function row(of) return row_of(body, index, skus, of) end
  for k, proposal in ipairs(proposals) do
    if verdicts[k] == COMMITTED then
      body.orders[#body.orders + 1] = order_of(k, proposal, row)
      for at = 4 * k - 3, 4 * k do raw[#raw + 1] = documents[at] end
    end
  end
  if next(olds) then put_gains(body, index) end
  put_soft(body)
  put_waited(body)
  for _, day in ipairs(days) do -- a day's first load puts it on the list of days
    if #body.loads > 0 and call('STRLEN', day_key(day)) == 0 and not call('ZSCORE', P .. 'days', day) then
      body.days[#body.days + 1], body.days[#body.days + 2] = day, -1
    end
  end
  return #body.orders > 0 and body, raw
end

-- What has lapsed of what this call takes, and of its orders, is free before anything is decided. False: that was much
-- work, and deciding is for another call.
local function settle_all()
  local places, fields, add = places_of()
  for _, proposal in ipairs(proposals) do
    for at = 1, #proposal[3], 5 do add('s' .. skus[proposal[3][at] + 1], proposal[3][at + 1]) end
    for at = 1, #proposal[4], 6 do add('d' .. days[proposal[4][at] + 1], proposal[4][at + 1]) end
  end
  if free(due_of(fields, now), '-inf', now, FREE_MAX, places) > FREE_FEW then return false end
  for k, proposal in ipairs(proposals) do
    local stored = proposal[8] and call('HMGET', order_key(id_of(k)), 'm', 'l') or NONE
    local old = stored[1] and kept_of(unpack(stored))
    if old and judged(old, now) ~= old.state then
      settle(id_of(k), old)
      settled[k] = true
    end
  end
  call('ZSCORE', HOLDS, '')
  call('ZSCORE', MOVABLE, '')
  return true
end

if not settle_all() then return {} end
if together then
  decide_together()
else
  for k, proposal in ipairs(proposals) do
    verdicts[k], decisions[k] = decide(k, proposal)
    decisions[k] = decisions[k] or false
  end
  cascade()
end
local body, raw = entry()
local id = body and append('commit', body, raw, ARGV[2]) or ''
return { id, verdicts, decisions }
