-- Units: goods in units. ARGV: skus, slots of each row as its writer saw it, and writes (msgpack). Returns outcomes.
-- A write: row, node, slot or -1, kind, quantity, safety or -1, movement id or "", digest, evicted when last asked,
-- incoming id or "".
local APPLIED, REPEATED, CONFLICT, BELOW_ZERO, TOO_LARGE, NODE_REMOVED, ASK, OTHER_INCOMING =
  1, 2, 3, 4, 5, 6, 7, 8
local UNITS_MAX = 2147483647
local skus, seen_slots, writes = unpack(cmsgpack.unpack(ARGV[1]))
local body = { rows = {}, cells = {}, moves = {}, use = {}, incoming = {} }
local asked = false
local incoming = {} -- incoming units by id as this call sees them
local slots, later, index, moves, uses, used = {}, {}, {}, {}, {}, {}, {}

-- Slot of a node that its writer did not see: only the slots added since then are searched.
local function later_slot(row, node)
  if not slots[row] then
    local key = row_key(skus[row + 1])
    check_stocked(skus[row + 1])
    slots[row], later[row] = math.max(0, (call('STRLEN', key) - 4) / 18), {}
    for slot = seen_slots[row + 1], slots[row] - 1 do
      later[row][struct.unpack('<I2', call('GETRANGE', key, 4 + 18 * slot, 5 + 18 * slot))] = slot
    end
  end
  return later[row][node]
end

-- {present, cells in use, node, changed} as this call sees it.
local function use_of(node)
  if not uses[node] then
    local packed = call('GETRANGE', P .. 'use', 5 * node, 5 * node + 4)
    if #packed == 5 then uses[node] = { struct.unpack(USE, packed) } else uses[node] = { 0, 0 } end
    uses[node][3] = node
  end
  return uses[node]
end

-- on_hand, safety and blocked after a write.
local function changed(c, kind, quantity, safety)
  if kind == 'snapshot' or kind == 'count' then return quantity, safety >= 0 and safety or c[7], c[8] end
  if kind == 'receive' or kind == 'adjust' then return c[5] + quantity, c[7], c[8] end
  if kind == 'damage' then return c[5], c[7], c[8] + quantity end
  return c[5] - quantity, c[7], c[8] - math.min(c[8], quantity)
end

-- {sku, node, quantity, expected} of incoming units, or false.
local function incoming_of(id)
  if incoming[id] == nil then
    local packed = call('HGET', INCOMING, id)
    incoming[id] = packed and cmsgpack.unpack(packed)
  end
  return incoming[id]
end

local function write(row, node, slot, kind, quantity, safety, movement, digest, vetted, incoming_id)
  if movement ~= '' then
    local applied = moves[movement] or call('GET', P .. 'move:' .. movement)
    if applied then return applied == digest and REPEATED or CONFLICT end
    if vetted ~= evicted_now and perhaps_gone('m:' .. movement) then
      asked = true
      return ASK
    end
  end
  local use = use_of(node)
  if use[1] == 0 then return NODE_REMOVED end
  local expected = incoming_id ~= '' and incoming_of(incoming_id)
  if expected and (expected[1] ~= skus[row + 1] or expected[2] ~= node) then return OTHER_INCOMING end
  slot = slot >= 0 and slot or later_slot(row, node)
  local c = { row, slot, 0, node, 0, 0, -1, 0 }
  if slot then c = cell(skus[row + 1], row, slot) end
  if not c or c[4] ~= node then error('slot ' .. slot .. ' of ' .. skus[row + 1] .. ' is not of node ' .. node) end
  local on_hand, safe, blocked = changed(c, kind, quantity, safety)
  if on_hand < 0 then return BELOW_ZERO end
  if on_hand > UNITS_MAX or blocked > UNITS_MAX then return TOO_LARGE end
  local more, other = on_hand - blocked > c[5] - c[8], safe ~= c[7]
  local d_on_hand, d_blocked = on_hand - c[5], blocked - c[8]
  if slot and d_on_hand == 0 and d_blocked == 0 and not other and movement == '' then return APPLIED end
  if not index[row] then
    index[row] = #body.rows / 2
    body.rows[#body.rows + 1], body.rows[#body.rows + 2] = skus[row + 1], -1
  end
  if not slot or more or (other and (c[7] < 0 or safe < c[7])) then
    local gain = 2 * index[row] + 2
    local before = body.rows[gain] < 0 and gain_of(row_key(skus[row + 1])) or body.rows[gain]
    body.rows[gain] = (before + 1) % 4294967296
  end
  if not slot then
    slot = slots[row]
    slots[row], later[row][node], cells[row * 65536 + slot], c[2] = slot + 1, slot, c, slot
  end
  local was, now = c[5] + c[6] + c[8] > 0, on_hand + c[6] + blocked > 0
  if was ~= now then
    use[2] = use[2] + (now and 1 or -1)
    if not use[4] then
      use[4] = true
      used[#used + 1] = use
    end
  end
  c[5], c[7], c[8] = on_hand, safe, blocked
  for _, value in ipairs({ index[row], slot, node, on_hand, c[6], safe, blocked, d_on_hand, 0, d_blocked, other and 1 or 0 }) do
    body.cells[#body.cells + 1] = value
  end
  for _, value in ipairs({ kind, movement, digest }) do body.moves[#body.moves + 1] = value end
  if movement ~= '' then moves[movement] = digest end
  if expected then
    expected[3] = math.max(0, expected[3] - quantity)
    body.incoming[#body.incoming + 1] = incoming_id
    for _, value in ipairs(expected) do body.incoming[#body.incoming + 1] = value end
    if expected[3] == 0 then incoming[incoming_id] = false end
  end
  return APPLIED
end

local outcomes = {}
for at = 1, #writes, 10 do
  outcomes[#outcomes + 1] = asked and ASK or write(unpack(writes, at, at + 9))
end
for _, use in ipairs(used) do
  body.use[#body.use + 1], body.use[#body.use + 2], body.use[#body.use + 3] = use[3], use[1], use[2]
end
if #body.cells > 0 then append('stock', body, {}) end
return outcomes
