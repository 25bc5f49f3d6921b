-- Units: days since 1970-01-01. ARGV: document, node ids (msgpack), version it replaces or -1 for any, version
-- of the zone matrices or -1 for any. Returns {version}, {-1} if another version is current, or {0, ids of nodes in use}.
if ARGV[3] ~= '-1' and tonumber(ARGV[3]) ~= version_of('network', 0) then return { -1 } end
if ARGV[4] ~= '-1' and tonumber(ARGV[4]) ~= version_of('matrices', 0) then return { -1 } end
local function int(packed, at) return struct.unpack(USE, packed, at) end
local staying, numbers, count = cmsgpack.unpack(ARGV[2]), {}, 0
local known, packed, stays = call('HGETALL', P .. 'nodes'), call('GET', P .. 'use') or '', {}
for at = 1, #known, 2 do
  numbers[known[at]], count = tonumber(known[at + 1]), count + 1
end
for _, id in ipairs(staying) do stays[id] = true end

local today = math.floor(call('TIME')[1] / 86400)
local days = call('ZRANGEBYSCORE', P .. 'days', today - 1, '+inf') -- a node's calendar may be a day behind ours
local function has_load(node)
  for _, day in ipairs(days) do
    local load = call('GETRANGE', day_key(day), 4 + 8 * node, 11 + 8 * node)
    if load ~= '' and load ~= '\0\0\0\0\0\0\0\0' then return true end
  end
  return false
end

local body, in_use = { version = version_of('network', 0) + 1, nodes = {}, use = {} }, { 0 }
local function put_use(node, present, cells_in_use)
  for _, value in ipairs({ node, present, cells_in_use }) do body.use[#body.use + 1] = value end
end
for at = 1, #known, 2 do
  local id, node = known[at], numbers[known[at]]
  local present, cells_in_use = int(packed, 5 * node + 1)
  if present == 1 and not stays[id] then
    if cells_in_use > 0 or has_load(node) then in_use[#in_use + 1] = id end
    put_use(node, 0, cells_in_use)
  elseif present == 0 and stays[id] then
    put_use(node, 1, cells_in_use)
  end
end
if #in_use > 1 then return in_use end
for _, id in ipairs(staying) do
  if not numbers[id] then
    numbers[id] = count
    body.nodes[#body.nodes + 1], body.nodes[#body.nodes + 2] = id, count
    put_use(count, 1, 0)
    count = count + 1
  end
end
if count > 65536 then return redis.error_reply('NODES more than 65536 nodes') end
append('network', body, { 'network', ARGV[1] })
return { body.version }
