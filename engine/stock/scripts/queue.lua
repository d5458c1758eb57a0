#!lua flags=allow-oom
--[[
  Queue orders whose records are acknowledged: a queued order never expires.

  ARGV[1]  up to a thousand orders, joined by commas: "<request_id> <order id, or - for none>"

  Returns  for each order: 1 queued or further | 0 no entry, or another order's
]]
requireLedger()
local now = nowMs()
local requestIds, orderIds = {}, {}
for requestId, orderId in string.gmatch(ARGV[1], '([^ ,]+) ([^,]+)') do
  requestIds[#requestIds + 1] = requestId
  orderIds[#orderIds + 1] = orderId
end
local free
local results, written, queued, isQueued, changes = {}, {}, {}, {}, {}
local queuedUnits = 0
for index, raw in ipairs(readRawEntries(requestIds)) do
  local requestId = requestIds[index]
  local entry = raw and cjson.decode(raw)
  if entry and not isOrder(entry, orderIds[index]) then
    entry = nil
  end
  if entry and entry.state == 'held' and not isQueued[requestId] then
    free = free or openStock()
    endHold(entry)
    enter(entry, 'queued', now)
    isQueued[requestId] = true
    queued[#queued + 1] = requestId
    written[#written + 1] = requestId
    written[#written + 1] = cjson.encode(entry)
    queuedUnits = queuedUnits + entry.units
    changes[#changes + 1] = changeOf(requestId, entry, free)
  end
  results[index] = entry and 1 or 0
end
if queuedUnits > 0 then
  redis.call('HSET', ordersKey, unpack(written))
  redis.call('ZREM', leasesKey, unpack(queued))
  addCount('held', -queuedUnits)
  addCount('queued', queuedUnits)
  addEvents('queued', changes)
end
return results
