--[[
  Replace a lost ledger by the staged one and open it. An open ledger stays as it is.

  KEYS[10]  staged entries                                     hash
  KEYS[11]  staged units by state, and the rebuild's id as id  hash
  KEYS[12]  staged units by user                               hash

  ARGV[1]  id of the rebuild
  ARGV[2]  token of the registry
  ARGV[3]  "free" | "supply": the meaning of the units
  ARGV[4]  units
  ARGV[5]  operator
  ARGV[6]  why
  ARGV[7]  units of sold orders that only the archive has
  ARGV[8]  1 where these are staged by user
  After these arguments comes the sale, a field and its value each. It is written where there is none.

  Returns  {"rebuilt", free, queued, reserved, sold, supply}
           {"too-small", units that the orders hold}   more than the supply
           {"open", ""}                                the ledger is not lost
           {"uncounted", ""}                           the sale has got a limit since, and the users are not staged
           {"another", ""}                             another rebuild has begun since
]]
local stagedOrdersKey, stagedCountsKey, stagedBuyersKey = KEYS[10], KEYS[11], KEYS[12]
local rebuildId, token, given, units, by, why = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5], ARGV[6]
if redis.call('HEXISTS', countsKey, 'opened') == 1 then
  return { 'open', '' }
end
local staged = redis.call('HMGET', stagedCountsKey, 'id', 'queued', 'reserved', 'sold')
if staged[1] ~= rebuildId then
  return { 'another', '' }
end
local archived, isCounted = tonumber(ARGV[7]), ARGV[8] == '1'
local queued, reserved = tonumber(staged[2] or 0), tonumber(staged[3] or 0)
local sold = tonumber(staged[4] or 0) + archived
local total = queued + reserved + sold
if given == 'supply' and units < total then
  return { 'too-small', total }
end
local free = given == 'supply' and units - total or units

local hasSale = redis.call('EXISTS', saleKey) == 1
local hasLimit = redis.call('HEXISTS', saleKey, 'units_per_user') == 1
for index = 9, hasSale and 0 or #ARGV, 2 do
  hasLimit = hasLimit or ARGV[index] == 'units_per_user'
end
if hasLimit and archived > 0 and not isCounted then
  return { 'uncounted', '' }
end

-- UNLINK before RENAME, which would free the old hash while everybody waits.
redis.call('UNLINK', ordersKey, countsKey, buyersKey, leasesKey, stagedCountsKey)
for from, to in pairs({ [stagedOrdersKey] = ordersKey, [stagedBuyersKey] = buyersKey }) do
  if redis.call('EXISTS', from) == 1 then
    redis.call('RENAME', from, to)
  end
end
if not hasSale and #ARGV > 8 then
  redis.call('HSET', saleKey, unpack(ARGV, 9))
end
if hasLimit then
  redis.call('HSET', countsKey, 'archived_counted', 1)
else
  redis.call('UNLINK', archivedUnitsKey)
end
writeFree(free)
redis.call('HSET', countsKey, 'queued', whole(queued), 'reserved', whole(reserved), 'sold', whole(sold),
  'archived', whole(archived), 'supply', whole(free + total), 'opened', token, 'archived_until', archivedUntilNow())
addAdjustment('rebuilt', 'by', by, 'why', why)
return { 'rebuilt', free, queued, reserved, sold, free + total }
