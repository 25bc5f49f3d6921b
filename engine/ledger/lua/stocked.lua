-- Units: SKUs as names, in the order of their bytes. The SKUs that have a row, in runs: one list has the heads, and the run of
-- a head those that come after it, up to the next head. A list as short as a run is packed into a fifth of the memory of a
-- long one. The first head is '', which is no SKU. In a store of an earlier version all SKUs are heads: long, but the same.
local STOCKED, RUN_MAX = P .. 'stocked', 128

local function run_key(head) return STOCKED .. ':' .. head end

-- The last head that is not after a name; nil if there is none.
local function head_of(name) return call('ZREVRANGEBYLEX', STOCKED, '[' .. name, '-', 'LIMIT', 0, 1)[1] end

-- Divide a full run in which a SKU has its place. Where SKUs come in order the run stays full; else it is halved. Nothing is
-- taken away before it is there again, so that doing this twice is doing it once.
local function divide(head, sku)
  local run, at = run_key(head), sku
  if call('ZLEXCOUNT', run, '[' .. sku, '+') > 0 then
    local later = call('ZRANGE', run, RUN_MAX / 2, -1)
    local flat = {}
    at = table.remove(later, 1)
    for n, each in ipairs(later) do flat[2 * n - 1], flat[2 * n] = 0, each end
    call('ZADD', run_key(at), unpack(flat))
  end
  call('ZADD', STOCKED, 0, at)
  call('ZREMRANGEBYLEX', run, '[' .. at, '+')
end

-- Put a SKU on the list, if it is not there.
local function put_stocked(sku)
  local head = head_of(sku)
  if not head then
    head = ''
    call('ZADD', STOCKED, 0, head)
  end
  if head == sku or call('ZSCORE', run_key(head), sku) then return end
  if call('ZCARD', run_key(head)) >= RUN_MAX then
    divide(head, sku)
    head = head_of(sku)
  end
  if head ~= sku then call('ZADD', run_key(head), 0, sku) end
end

-- Read what putting a SKU on the list reads: what is no list is found while nothing is written.
local function check_stocked(sku) call('ZCARD', run_key(head_of(sku) or '')) end

-- The first SKUs after a name.
local function stocked_after(name, most)
  local heads, found = call('ZRANGEBYLEX', STOCKED, '(' .. name, '+', 'LIMIT', 0, most + 1), {}
  table.insert(heads, 1, head_of(name) or '')
  for k, head in ipairs(heads) do
    if #found == most then break end
    if k > 1 and head ~= '' then found[#found + 1] = head end
    local last = heads[k + 1] and '(' .. heads[k + 1] or '+'
    for _, sku in ipairs(call('ZRANGEBYLEX', run_key(head), '(' .. name, last, 'LIMIT', 0, most - #found)) do
      found[#found + 1] = sku
    end
  end
  return found
end
