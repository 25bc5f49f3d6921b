-- Units: goods in units, instants in ms since the epoch. Makes the change that an entry of the log describes.

local EDITIONS_KEPT = 100 -- versions kept of each policy

-- Orders decided, and decided again: `replaced` is {command, revision, token, digest, reason, excluded nodes}. What waits
-- comes after it: flat (name, units), and the rank; then until when it may be decided again in the background.
local function apply_orders(body, raw, at_ms, entry)
  local recorded = body.record or entry -- where the window's record is
  for k, order in ipairs(body.orders or NONE) do
    local id, takes, named, replaced = raw[4 * k - 3], order[3], {}, order[7]
    local key, done = order_key(raw[4 * k - 3]), false
    for at = 1, #takes, 4 do
      named[at], named[at + 1] = body.rows[2 * takes[at] + 1], takes[at + 1]
      named[at + 2], named[at + 3] = takes[at + 2], takes[at + 3]
    end
    local kept = {
      state = order[1], history = {}, takes = named, loads = order[4], deadline = order[5] or 0,
      firm = order[6] or order[1], revision = 1, excluded = NONE, token = '', waits = order[8] or NONE, rank = order[9] or 0,
      closes = order[10] or 0,
    }
    if replaced then
      local before = kept_at(key)
      done = before.revision >= replaced[2]
      kept.history, kept.revision, kept.token, kept.excluded = before.history, replaced[2], replaced[3], replaced[6]
      kept.lapsed = before.lapsed
      if UNASKED[replaced[1]] then kept.token, kept.excluded = before.token, before.excluded end
      if not done then enlist(id, before.waits, before.rank, false) end
      happened(kept, at_ms, PAST[replaced[1]])
    end
    happened(kept, at_ms, order[1])
    if not done then
      if replaced and UNASKED[replaced[1]] then
        call('HSET', key, 'r', recorded, 'n', raw[4 * k])
      elseif replaced and replaced[1] == 'reroute' then
        call('HSET', key, 'r', recorded, 'n', raw[4 * k], 'k:' .. replaced[3], replaced[4] .. '\n' .. raw[4 * k])
      else
        call('HSET', key, 'r', recorded, 'c', raw[4 * k - 2], 'o', raw[4 * k - 1], 'd', raw[4 * k])
        if replaced then call('HDEL', key, 'n') end
      end
      put_kept(id, kept, not replaced)
    end
    if order[2] ~= '' then call('SET', P .. 'idem:' .. order[2], id) end
  end
end

-- A command on an order that stands: raw is {order id, command id or ''}.
local function command(name)
  return function(body, raw, at_ms)
    local k = kept_at(order_key(raw[1]))
    if k.revision >= body.revision then return end
    if name == 'release' or name == 'cancel' then
      enlist(raw[1], k.waits, k.rank, false)
      k.takes, k.loads, k.waits = {}, {}, {}
    end
    k.state, k.deadline, k.revision = body.state, 0, body.revision
    happened(k, at_ms, PAST[name])
    if raw[2] ~= '' then call('HSET', order_key(raw[1]), 'k:' .. raw[2], name .. '\n' .. body.state) end
    put_kept(raw[1], k)
  end
end

local function put_matrix(id, matrix, version)
  call('HSET', P .. 'matrices', id, matrix)
  call('HSET', P .. 'matrix_versions', id, version)
  call('HSET', META, 'matrices', version)
end

-- By kind of entry: what is not rows, days or node use.
local apply_kind = {
  commit = apply_orders,
  confirm = command('confirm'),
  release = command('release'),
  cancel = command('cancel'),
  ready = command('ready'),
  free = function() end,
  incoming = function() end,
  lapse = function(body, raw, at_ms)
    local ids = {}
    for at = 1, #raw, 2 do
      ids[#ids + 1] = raw[at]
      call('HSET', order_key(raw[at]), 'l', at_ms)
    end
    call('ZREM', HOLDS, unpack(ids))
  end,
  stock = function(body, _, _, entry)
    for at = 1, #body.rows, 2 do
      if body.rows[at + 1] >= 0 then
        call('HSET', META, 'received', entry)
        break
      end
    end
    for at = 1, #body.moves, 3 do
      if body.moves[at + 1] ~= '' then call('SET', P .. 'move:' .. body.moves[at + 1], body.moves[at + 2]) end
    end
  end,
  skus = function(body, raw)
    for at = 1, #raw, 2 do
      call('HSET', P .. 'skus', raw[at], raw[at + 1])
      call('ZADD', P .. 'changed', body.version, raw[at])
    end
    call('HSET', META, 'catalog', body.version)
  end,
  policy = function(body, raw)
    local editions = P .. 'policy:' .. raw[1]
    call('HSET', editions, body.edition, raw[2])
    call('HDEL', editions, body.edition - EDITIONS_KEPT)
    call('HSET', P .. 'policies', raw[1], body.edition)
    call('HSET', META, 'policy', body.version)
  end,
  forecast = function(body, raw) call('HSET', P .. 'forecast', 'version', body.version, 'body', raw[2]) end,
  matrix = function(body, raw) put_matrix(raw[1], raw[2], body.matrices) end,
  network = function(body, raw)
    call('SET', P .. 'network', raw[2])
    if raw[3] then put_matrix(raw[3], raw[4], body.matrices) end
    for at = 1, #body.nodes, 2 do call('HSET', P .. 'nodes', body.nodes[at], body.nodes[at + 1]) end
    call('HSET', META, 'network', body.version)
  end,
}

-- Make an entry's change: absolute values only, so that making it twice is making it once. The last write says: done.
local function apply(id, kind, body, raw)
  apply_rows(body)
  apply_days(body)
  apply_soft(body.chunks or NONE)
  apply_whole(body.soft or NONE)
  local use = body.use or NONE
  for at = 1, #use, 3 do
    call('SETRANGE', P .. 'use', 5 * use[at], struct.pack(USE, use[at + 1], use[at + 2]))
  end
  apply_incoming(body.incoming or NONE)
  apply_kind[kind](body, raw, tonumber(string.match(id, '^(%d+)')), id)
  apply_waits(kind, body, raw)
  call('HSET', META, 'applied', id)
end

-- Finish what a script that broke off between its entry and its last write left behind.
local function recover()
  for _, entry in ipairs(call('XRANGE', LOG, '(' .. (call('HGET', META, 'applied') or '0-0'), '+')) do
    local fields, raw = entry[2], {}
    for at = 7, #fields do raw[at - 6] = fields[at] end
    apply(entry[1], fields[2], cmsgpack.unpack(fields[4]), raw)
  end
end

-- After this line nothing may fail: every key was read, and so type-checked, while deciding.
local function append(kind, body, raw, record)
  local id = call('XADD', LOG, '*', 'k', kind, 'b', cmsgpack.pack(body), 'r', record or '', unpack(raw))
  apply(id, kind, body, raw)
  return id
end

recover()
