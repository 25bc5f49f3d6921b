-- Units: goods in units, slots, rows and nodes count from 0. What an entry says of rows and days, made.

-- Cells of known slots are written in place; a row that gets longer is written whole, so that it fits exactly.
local function apply_rows(body)
  local rows, cells, longer = body.rows or NONE, body.cells or NONE, {}
  for at = 1, #cells, 11 do
    local key, start = row_key(rows[2 * cells[at] + 1]), 4 + 18 * cells[at + 1]
    local slot = struct.pack(CELL, cells[at + 2], cells[at + 3], cells[at + 4], cells[at + 5], cells[at + 6])
    if body.moves and not longer[key] and call('STRLEN', key) < start + 18 then
      longer[key] = call('GET', key) or struct.pack(GAIN, 0)
    end
    local row = longer[key]
    if row then
      longer[key] = string.sub(row, 1, start) .. slot .. string.sub(row, start + 19)
    else
      call('SETRANGE', key, start, slot)
    end
  end
  for at = 1, #rows, 2 do
    local sku, gain = rows[at], rows[at + 1]
    local key = row_key(sku)
    if longer[key] then
      put_stocked(sku)
      call('SET', key, struct.pack(GAIN, gain) .. string.sub(longer[key], 5))
    elseif gain >= 0 then
      call('SETRANGE', key, 0, struct.pack(GAIN, gain))
    end
  end
end

local function apply_days(body)
  local days, loads = body.days or NONE, body.loads or NONE
  for at = 1, #loads, 6 do
    call('SETRANGE', day_key(loads[at]), 4 + 8 * loads[at + 1], struct.pack(LOAD, loads[at + 2], loads[at + 3]))
  end
  for at = 1, #days, 2 do
    call('ZADD', P .. 'days', days[at], days[at])
    if days[at + 1] >= 0 then call('SETRANGE', day_key(days[at]), 0, struct.pack(GAIN, days[at + 1])) end
  end
end
