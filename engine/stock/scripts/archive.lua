#!lua flags=allow-oom
--[[
  Remove finished orders that the archive has. Only what it was told counts: an order that was tried again since, or whose
  money is not settled, stays.

  ARGV[1]  some hundred orders, joined by commas: "<request_id> <order id> <revision> <units put back>"

  Returns  for each order: 1 removed | 0 gone: no entry, or another order's | 2 it stays
           "counting" while buyers are counted from the archive: nothing is removed
]]
requireLedger()
if nowMs() < tonumber(redis.call('HGET', countsKey, 'counting_until') or 0) then
  return 'counting'
end
local requestIds, orderIds, revisions, restocked = {}, {}, {}, {}
for requestId, orderId, revision, back in string.gmatch(ARGV[1], '([^ ,]+) ([^ ,]+) ([^ ,]+) ([^,]+)') do
  requestIds[#requestIds + 1] = requestId
  orderIds[#orderIds + 1] = orderId
  revisions[#revisions + 1] = tonumber(revision)
  restocked[#restocked + 1] = tonumber(back)
end
local isCounted = redis.call('HEXISTS', countsKey, 'archived_counted') == 1
local results, removed = {}, {}
local soldUnits, newest = 0, archivedUntil() or 0
for index, raw in ipairs(readRawEntries(requestIds)) do
  local entry = raw and cjson.decode(raw)
  if not entry or not isOrder(entry, orderIds[index]) then
    results[index] = 0
  elseif (entry.state == 'sold' or entry.state == 'released') and entry.revision == revisions[index] and entry.owed == ''
    and entry.units - ownedUnits(entry) == restocked[index] then
    results[index] = 1
    removed[#removed + 1] = requestIds[index]
    newest = math.max(newest, entry.accepted_at)
    if entry.state == 'sold' then
      soldUnits = soldUnits + entry.units
      local owned = ownedUnits(entry)
      addBuyer(entry.user, -owned)
      if isCounted and owned > 0 then
        redis.call('HINCRBY', archivedUnitsKey, entry.user, whole(owned))
      end
    end
  else
    results[index] = 2
  end
end
if #removed > 0 then
  redis.call('HSET', countsKey, 'archived_until', whole(newest))
  addCount('archived', soldUnits)
  redis.call('HDEL', ordersKey, unpack(removed))
  -- Whoever compares the counts with the entries sees that both have changed.
  redis.call('XADD', eventsKey, 'MAXLEN', '~', EVENTS_MAX, '*', 'state', 'archived', 'orders', #removed)
end
return results
