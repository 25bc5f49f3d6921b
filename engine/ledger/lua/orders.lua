-- Units: goods in units, instants in ms since the epoch. What is kept of an order.
local HOLDS = P .. 'holds' -- order ids by deadline
local MOVABLE = P .. 'movable' -- ids of orders that may be decided again in the background, by the instant it ends

local function now_ms()
  local time = call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function happened(k, at_ms, event)
  k.history[#k.history + 1], k.history[#k.history + 2] = at_ms, 'order.' .. event
end

-- An order as kept: takes flat (sku, slot, node, units), loads flat (day, node, parcels, units), deadline 0 for none,
-- waits flat (name, units), closes 0 for never. Of a soft hold whose lapse was logged, `lapsed` is when, and the record is as it was before:
-- what has lapsed by the hundred thousand is not written again before somebody changes it.
local function kept_of(packed, lapsed)
  local state, history, takes, loads, deadline, firm, revision, excluded, token, waits, rank, closes =
    unpack(cmsgpack.unpack(packed))
  local k = {
    state = state, history = history, takes = takes, loads = loads, deadline = deadline or 0, firm = firm or state,
    revision = revision or 1, excluded = excluded or NONE, token = token or '', waits = waits or NONE, rank = rank or 0,
    lapsed = lapsed or '', closes = closes or 0,
  }
  if k.lapsed ~= '' then
    k.state, k.takes, k.loads, k.revision = 'lapsed', {}, {}, k.revision + 1
    happened(k, tonumber(k.lapsed), 'lapsed')
  end
  return k
end

-- An order as kept, by its key.
local function kept_at(key) return kept_of(unpack(call('HMGET', key, 'm', 'l'))) end

local function packed_order(k)
  return cmsgpack.pack({
    k.state, k.history, k.takes, k.loads, k.deadline, k.firm, k.revision, k.excluded, k.token, k.waits, k.rank, k.closes,
  })
end

-- The lists that an order stands on come before its record, by whose revision a redone change knows that it is done.
local function put_kept(id, k, fresh)
  enlist(id, k.waits, k.rank, is_waiting(k))
  if k.state == 'held' then
    call('ZADD', HOLDS, k.deadline, id)
  elseif not fresh then
    call('ZREM', HOLDS, id)
  end
  if MAY_MOVE[k.state] and k.closes > 0 then
    call('ZADD', MOVABLE, k.closes, id)
  elseif not fresh then
    call('ZREM', MOVABLE, id)
  end
  if (k.lapsed or '') == '' then
    call('HSET', order_key(id), 'm', packed_order(k))
  else
    call('HSET', order_key(id), 'm', packed_order(k), 'l', '')
  end
end

-- The state by the clock.
local function judged(k, now)
  return k.state == 'held' and now >= k.deadline and 'lapsed' or k.state
end
