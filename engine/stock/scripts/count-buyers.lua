--[[
  Count the units of archived orders by user, page by page, before the item gets a limit for each user. No order leaves the
  ledger meanwhile: an order of the archive that has no entry here has left before.

  KEYS[10]  the units counted so far, by user  hash

  ARGV[1]  id of the count
  ARGV[2]  "begin": drop what another count has left | "add" | "finish"
  ARGV[3]  number of the page, from 1 on
  ARGV[4]  sold orders of the archive, joined by commas: "<request_id> <order id> <user_id> <units> <units put back>"

  Returns  "counted" | "another": another count has begun since, or this one has paused for too long
           "behind": the archive does not have yet that units of such an order were put back
           "missing": the archive has fewer units of orders that have left than left
]]
-- A caller that has died keeps the orders in the ledger for so long.
local PAUSE_MS_MAX = 60000
local stagedKey = KEYS[10]
local id, step, page, orders = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
requireLedger()
local now = nowMs()
if step == 'begin' then
  local restockedAt = redis.call('HGET', countsKey, 'restocked_at')
  if restockedAt and #redis.call('XRANGE', adjustmentsKey, restockedAt, restockedAt) > 0 then
    return 'behind'
  end
  redis.call('UNLINK', stagedKey)
  redis.call('HSET', countsKey, 'counting', id, 'counting_page', 0, 'counting_units', 0,
    'counting_until', whole(now + PAUSE_MS_MAX))
  return 'counted'
end
local current = redis.call('HMGET', countsKey, 'counting', 'counting_page', 'counting_until', 'counting_units', 'archived')
if current[1] ~= id or now > tonumber(current[3]) then
  return 'another'
end
if step == 'finish' then
  redis.call('HDEL', countsKey, 'counting', 'counting_page', 'counting_units', 'counting_until')
  if tonumber(current[4]) < tonumber(current[5] or 0) then
    redis.call('UNLINK', stagedKey)
    return 'missing'
  end
  redis.call('UNLINK', archivedUnitsKey)
  if redis.call('EXISTS', stagedKey) == 1 then
    redis.call('RENAME', stagedKey, archivedUnitsKey)
  end
  redis.call('HSET', countsKey, 'archived_counted', 1)
  return 'counted'
end
-- A page that was sent twice counts once.
if page ~= tonumber(current[2]) + 1 then
  return 'counted'
end
local countedUnits = 0
for requestId, orderId, user, units, back in string.gmatch(orders, '([^ ,]+) ([^ ,]+) ([^ ,]+) ([^ ,]+) ([^,]+)') do
  local entry = readEntry(requestId)
  if not entry or not isOrder(entry, orderId) then
    if tonumber(units) > tonumber(back) then
      redis.call('HINCRBY', stagedKey, user, whole(units - back))
    end
    countedUnits = countedUnits + tonumber(units)
  end
end
redis.call('HINCRBY', countsKey, 'counting_units', whole(countedUnits))
redis.call('HSET', countsKey, 'counting_page', page, 'counting_until', whole(now + PAUSE_MS_MAX))
return 'counted'
