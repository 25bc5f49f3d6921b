-- Units: goods in units. Cells and loads as this call sees them: the store's, with what this call changed on top.
local cells, touched = {}, {}
local loads, loaded = {}, {}

-- {row, slot, units taken here, node, on_hand, held, safety, blocked}, or false beyond the row's end.
local function cell(sku, row, slot)
  local place = row * 65536 + slot
  local found = cells[place]
  if found == nil then
    local packed = call('GETRANGE', row_key(sku), 4 + 18 * slot, 21 + 18 * slot)
    found = #packed == 18 and { row, slot, 0, struct.unpack(CELL, packed) }
    cells[place] = found
    if found then touched[#touched + 1] = found end
  end
  return found
end

-- {day, node, parcels, units, parcels taken here, units taken here}
local function load(day, node)
  local place = day * 65536 + node
  local found = loads[place]
  if not found then
    local packed = call('GETRANGE', day_key(day), 4 + 8 * node, 11 + 8 * node)
    local parcels, units = 0, 0
    if #packed == 8 then parcels, units = struct.unpack(LOAD, packed) end
    found = { day, node, parcels, units, 0, 0 }
    loads[place] = found
    loaded[#loaded + 1] = found
  end
  return found
end

-- The place of a row in an entry; `index` by row, `skus` from 1.
local function row_of(body, index, skus, row)
  if not index[row] then
    index[row] = #body.rows / 2
    body.rows[#body.rows + 1], body.rows[#body.rows + 2] = skus[row + 1], -1
  end
  return index[row]
end

-- Put changed holds and loads into an entry. Returns the entry's index by row.
local function put_overlay(body, skus)
  local index, n, m, changed, moved = {}, 0, 0, {}, {}
  body.rows = {}
  for _, c in ipairs(touched) do
    if c[3] ~= 0 then
      changed[n + 1], changed[n + 2], changed[n + 3] = row_of(body, index, skus, c[1]), c[2], c[4]
      changed[n + 4], changed[n + 5], changed[n + 6], changed[n + 7] = c[5], c[6] + c[3], c[7], c[8]
      changed[n + 8], changed[n + 9], changed[n + 10], changed[n + 11], n = 0, c[3], 0, 0, n + 11
    end
  end
  for _, l in ipairs(loaded) do
    if l[5] ~= 0 or l[6] ~= 0 then
      moved[m + 1], moved[m + 2], moved[m + 3] = l[1], l[2], l[3] + l[5]
      moved[m + 4], moved[m + 5], moved[m + 6], m = l[4] + l[6], l[5], l[6], m + 6
    end
  end
  body.cells, body.loads = changed, moved
  return index
end
