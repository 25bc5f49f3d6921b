-- Units: goods in units, instants in ms since the epoch. ARGV: flat rows (msgpack): id, sku, node, quantity, expected.
-- Returns outcomes as of stock writes.
local APPLIED, NODE_REMOVED = 1, 6
local rows, body, outcomes, pending = cmsgpack.unpack(ARGV[1]), { incoming = {} }, {}, {}
for at = 1, #rows, 5 do
  local id, quantity = rows[at], rows[at + 3]
  local present = call('GETRANGE', P .. 'use', 5 * rows[at + 2], 5 * rows[at + 2])
  if quantity > 0 and present ~= '\1' then
    outcomes[#outcomes + 1] = NODE_REMOVED
  else
    local packed = cmsgpack.pack({ unpack(rows, at + 1, at + 4) })
    if pending[id] == nil then pending[id] = call('HGET', INCOMING, id) end
    local after = quantity > 0 and packed
    if pending[id] ~= after then
      for n = at, at + 4 do body.incoming[#body.incoming + 1] = rows[n] end
      pending[id] = after
    end
    outcomes[#outcomes + 1] = APPLIED
  end
end
if #body.incoming > 0 then append('incoming', body, {}) end
return outcomes
