-- Units: filter sizes in bits, layer n has 2^(18 + n); at ten bits an id, one new id in a hundred looks like an old one.
-- Which ids left the store: "o:" order, "k:" idempotency key, "m:" movement. Layers double up to 16 MB; the last takes
-- all that follow, so that the filter stays bounded and only its errors grow: each costs one question to the archive.
local LAYERS_MAX, HASHES, BITS_PER_ID = 9, 5, 10
local evicted_now = tonumber(call('HGET', META, 'evicted') or 0)
local layers = evicted_now > 0 and tonumber(call('HGET', META, 'layers') or 0) or 0

local function bits_of(hex, layer, visit)
  local size = 2 ^ (18 + layer)
  for k = 0, HASHES - 1 do
    if not visit(P .. 'gone:' .. layer, tonumber(string.sub(hex, 7 * k + 1, 7 * k + 7), 16) % size) then return false end
  end
  return true
end

local function is_set(key, bit) return call('GETBIT', key, bit) == 1 end

-- Whether an id may have left; false is certain.
local function perhaps_gone(name)
  local hex = layers > 0 and redis.sha1hex(name)
  for layer = layers, 1, -1 do
    if bits_of(hex, layer, is_set) then return true end
  end
  return false
end
