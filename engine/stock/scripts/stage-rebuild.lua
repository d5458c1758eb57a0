--[[
  Stage entries of a lost ledger that is rebuilt, some hundreds a call, and count their units. An entry that is sent
  twice counts once.
  After these arguments come the orders, a request_id and its entry each, or the users, an id and the units each.

  KEYS[10]  staged entries                                     hash
  KEYS[11]  staged units by state, and the rebuild's id as id  hash
  KEYS[12]  staged units by user                               hash

  ARGV[1]  id of the rebuild
  ARGV[2]  "begin": drop what another rebuild has staged | "add" | "owners": set the units of archived orders | "drop"

  Returns  "staged"
           "open"     the ledger is not lost
           "another"  another rebuild has begun since
]]
local stagedOrdersKey, stagedCountsKey, stagedBuyersKey = KEYS[10], KEYS[11], KEYS[12]
local rebuildId, step = ARGV[1], ARGV[2]
if redis.call('HEXISTS', countsKey, 'opened') == 1 then
  redis.call('UNLINK', stagedOrdersKey, stagedCountsKey, stagedBuyersKey)
  return 'open'
end
local isCurrent = redis.call('HGET', stagedCountsKey, 'id') == rebuildId
if step == 'begin' then
  if not isCurrent then
    redis.call('UNLINK', stagedOrdersKey, stagedCountsKey, stagedBuyersKey, archivedUnitsKey)
    redis.call('HSET', stagedCountsKey, 'id', rebuildId)
  end
  return 'staged'
end
if not isCurrent then
  return 'another'
end
if step == 'drop' then
  redis.call('UNLINK', stagedOrdersKey, stagedCountsKey, stagedBuyersKey, archivedUnitsKey)
  return 'staged'
end
if step == 'owners' then
  redis.call('HSET', archivedUnitsKey, unpack(ARGV, 3))
  return 'staged'
end

local sums, owned = {}, {}
for index = 3, #ARGV, 2 do
  local entry = cjson.decode(ARGV[index + 1])
  local isNew = redis.call('HSETNX', stagedOrdersKey, ARGV[index], ARGV[index + 1]) == 1
  if isNew and entry.state ~= 'released' then
    sums[entry.state] = (sums[entry.state] or 0) + entry.units
    owned[entry.user] = (owned[entry.user] or 0) + ownedUnits(entry)
  end
end
for state, units in pairs(sums) do
  redis.call('HINCRBY', stagedCountsKey, state, whole(units))
end
for user, units in pairs(owned) do
  redis.call('HINCRBY', stagedBuyersKey, user, whole(units))
end
return 'staged'
