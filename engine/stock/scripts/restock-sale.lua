--[[
  Put units of a refunded sale on sale again, once for each operation. The order stays sold: free units and supply grow, and
  the units are not its buyer's any more.

  KEYS[10]  completed operations by id, and the units that are left of sales without an entry, by order id  hash, JSON

  ARGV[1]  request_id
  ARGV[2]  order id
  ARGV[3]  operation
  ARGV[4]  units
  ARGV[5]  operator
  ARGV[6]  reason
  ARGV[7]  how long the operation of an order without an entry is remembered, in ms; the archive has it after that
  ARGV[8]  of a sale that only the archive has, its buyer; else nothing
  ARGV[9]  and its units that were not put back, as far as the archive knows

  Returns  "restocked", also where that was done before
           "archived"          only the archive has the sale: it has to be asked first
           "operation-reused"  the operation has put back another number of units
           "too-many"          the sale has fewer units that were not put back
           "counting"          buyers are counted from the archive: to be tried again
]]
local operationsKey = KEYS[10]
local requestId, orderId, operation, units = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local by, why, rememberMs, user, left = ARGV[5], ARGV[6], ARGV[7], ARGV[8], tonumber(ARGV[9])
-- No id of an operation begins so.
local leftField = 'left/' .. orderId
requireLedger()
local entry = readEntry(requestId)
if entry and not (isOrder(entry, orderId) and entry.state == 'sold') then
  entry = nil
end
local before
if entry then
  entry.restocked = entry.restocked or {}
  before = entry.restocked[operation]
  left = ownedUnits(entry)
else
  local done = redis.call('HMGET', operationsKey, operation, leftField)
  before = done[1] and cjson.decode(done[1]).units
  -- The archive may not have the latest operations.
  left = math.min(left, tonumber(done[2] or left))
end
if before then
  return before == units and 'restocked' or 'operation-reused'
end
if not entry and user == '' then
  return 'archived'
end
if units > left then
  return 'too-many'
end
-- The count may have read the order already.
if not entry and nowMs() < tonumber(redis.call('HGET', countsKey, 'counting_until') or 0) then
  return 'counting'
end

local free = openStock() + units
redis.call('HINCRBY', countsKey, 'supply', whole(units))
writeFree(free)
if entry then
  entry.restocked[operation] = units
  writeEntry(requestId, entry)
  addBuyer(entry.user, -units)
else
  redis.call('HSET', operationsKey, operation, cjson.encode({ units = units }), leftField, whole(left - units))
  redis.call('PEXPIRE', operationsKey, rememberMs)
  -- An erased user has no count.
  if redis.call('HEXISTS', archivedUnitsKey, user) == 1
    and redis.call('HINCRBY', archivedUnitsKey, user, whole(-units)) <= 0 then
    redis.call('HDEL', archivedUnitsKey, user)
  end
end
addAdjustment('adjusted', 'units', whole(units), 'by', by, 'why', why, 'operation', operation, 'order', orderId)
if not entry then
  -- A count of the buyers waits until the archive has it.
  redis.call('HSET', countsKey, 'restocked_at', redis.call('XREVRANGE', adjustmentsKey, '+', '-', 'COUNT', 1)[1][1])
end
return 'restocked'
