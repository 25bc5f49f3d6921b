-- wrk posts distinct single orders: wrk -s orders.lua URL -- FILE RUN PARTITION. Counts in requests, times in ms.
-- FILE: an order a line without its opening brace and its order_id, which is made here from RUN, thread and number.
local threads = {}

function setup(thread)
  thread:set("number", #threads)
  table.insert(threads, thread)
end

function init(args)
  tails, sent = {}, 0
  decided, later, faults, first_fault = 0, 0, 0, ""
  for line in io.lines(args[1]) do
    tails[#tails + 1] = line
  end
  run = args[2]
  headers = { ["Content-Type"] = "application/json", ["Apportion-Partition"] = args[3] }
end

function request()
  sent = sent + 1
  -- Threads are far apart in the file, so that they do not send the same baskets at once.
  local tail = tails[(sent + number * 7919) % #tails + 1]
  return wrk.format("POST", "/v1/orders", headers, '{"order_id":"' .. run .. "-" .. number .. "-" .. sent .. '",' .. tail)
end

local function retry_after(answered)
  for name, value in pairs(answered) do
    if name:lower() == "retry-after" then
      return value
    end
  end
end

function response(status, answered, body)
  if status == 201 and body:sub(1, 13) == '{"order_id":"' then
    decided = decided + 1
  elseif (status == 429 or status == 503) and retry_after(answered) then
    later = later + 1
  else
    faults = faults + 1
    if first_fault == "" then
      first_fault = status .. " " .. body:sub(1, 120):gsub('[%c"\\]', " ")
    end
  end
end

function done(summary, latency, requests)
  local sum, fault = { decided = 0, later = 0, faults = 0 }, ""
  for _, thread in ipairs(threads) do
    for name, value in pairs(sum) do
      sum[name] = value + thread:get(name)
    end
    if fault == "" then
      fault = thread:get("first_fault")
    end
  end
  local errors = summary.errors
  io.write(string.format(
    '{"decided":%d,"later":%d,"faults":%d,"first_fault":"%s","broken":%d,"seconds":%.3f,"p50_ms":%.2f,"p99_ms":%.2f}\n',
    sum.decided, sum.later, sum.faults, fault, errors.connect + errors.read + errors.write + errors.timeout,
    summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
