-- Units: none. ARGV: archive, orders (id, state, revision, key or "") and movements (msgpack).
-- Lets go what the archive holds: an order only as the archive knows it, and only if it holds nothing and waits for nothing.
-- Returns 1 per order that is gone now, else 0; {-1} if another archive follows the log.
if call('HGET', META, 'archive') ~= ARGV[1] then return { -1 } end
local orders, movements = unpack(cmsgpack.unpack(ARGV[2]))
local gone, leaving, answers = {}, {}, {}
for at = 1, #orders, 4 do
  local id, state, revision, key = orders[at], orders[at + 1], orders[at + 2], orders[at + 3]
  local stored, leaves = call('HMGET', order_key(id), 'm', 'l'), true
  if stored[1] then
    local k = kept_of(unpack(stored))
    leaves = k.state == state and k.revision == revision and #k.takes == 0 and #k.loads == 0 and not is_waiting(k)
    if leaves then
      if key ~= '' and call('GET', P .. 'idem:' .. key) == id then -- before its order, which leads here if broken off
        gone[#gone + 1], leaving[#leaving + 1] = 'k:' .. key, P .. 'idem:' .. key
      end
      gone[#gone + 1], leaving[#leaving + 1] = 'o:' .. id, order_key(id)
    end
  end
  answers[#answers + 1] = leaves and 1 or 0
end
for _, movement in ipairs(movements) do
  if call('EXISTS', P .. 'move:' .. movement) == 1 then
    gone[#gone + 1], leaving[#leaving + 1] = 'm:' .. movement, P .. 'move:' .. movement
  end
end
if #gone == 0 then return answers end

-- Remembered first, then gone: broken off in between, an id is remembered that is still there, which harms nobody.
call('DEL', P .. 'freeing') -- gets through a store at its memory limit, as in archived.lua
call('HINCRBY', META, 'evicted', #gone)
local held = tonumber(call('HGET', META, 'layer_ids') or 0)
layers = math.max(1, tonumber(call('HGET', META, 'layers') or 0))
local function set(key, bit)
  call('SETBIT', key, bit, 1)
  return true
end
for _, name in ipairs(gone) do
  if held >= 2 ^ (18 + layers) / BITS_PER_ID and layers < LAYERS_MAX then layers, held = layers + 1, 0 end
  bits_of(redis.sha1hex(name), layers, set)
  held = held + 1
end
call('HSET', META, 'layers', layers, 'layer_ids', held)
for _, key in ipairs(leaving) do call('DEL', key) end
return answers
