--[[
  Change how an item is sold. Orders that are already admitted keep their price, and the time in which to pay it.

  ARGV[1]  price in minor units    in each of these six: "" leaves the field as it is, "-" removes it
  ARGV[2]  currency
  ARGV[3]  units per user
  ARGV[4]  opening, in ms since the epoch
  ARGV[5]  closing, in ms since the epoch, or "now", which also takes an opening away that is still to come
  ARGV[6]  time in which buyers pay themselves, in ms; none: the engine charges by itself
  ARGV[7]  1 to allow users who own more than the limit, or after the caller has looked for them
  ARGV[8]  operator
  ARGV[9]  the free units that the operator has seen, or "" for any number

  Returns  {"changed", fields and values before, the same after}
           {"stale", free units}          not the number that the operator has seen
           {"unknown-item"}
           {"window", opening, closing}   the sale would end before it starts
           {"units-owned", users above the limit, units of the user with the most}
           {"many-buyers", limit}   too many to look at in one call: the caller looks for those above the limit
           {"uncounted"}            the caller has to count the buyers of archived orders first: count-buyers.lua
]]
local changes = {
  price = ARGV[1], currency = ARGV[2], units_per_user = ARGV[3], opens_at = ARGV[4], closes_at = ARGV[5],
  pay_within = ARGV[6],
}
local mayBeAbove, by = ARGV[7] == '1', ARGV[8]
local KEEP, NONE = '', '-'
-- As many take five milliseconds.
local BUYERS_MAX = 5000

local function numberAfter(field)
  if changes[field] == KEEP then
    return saleNumber(field)
  end
  return changes[field] ~= NONE and tonumber(changes[field]) or nil
end

if redis.call('EXISTS', freeKey) == 0 and redis.call('HEXISTS', countsKey, 'opened') == 0 then
  return { 'unknown-item' }
end
local seen = tonumber(ARGV[9])
local free = seen and wholeUnits(redis.call('GET', freeKey) or '0')
if free ~= seen then
  return { 'stale', free }
end
if changes.closes_at == 'now' then
  local now = nowMs()
  changes.closes_at = whole(now)
  if (saleNumber('opens_at') or 0) >= now then
    changes.opens_at = NONE
  end
end
local opensAt, closesAt = numberAfter('opens_at'), numberAfter('closes_at')
if opensAt and closesAt and closesAt <= opensAt then
  return { 'window', opensAt, closesAt }
end
local limit = changes.units_per_user ~= KEEP and numberAfter('units_per_user')
local archived = redis.call('HMGET', countsKey, 'archived', 'archived_counted')
if limit and not archived[2] and tonumber(archived[1] or 0) > 0 then
  return { 'uncounted' }
end
if limit and not mayBeAbove then
  if redis.call('HLEN', buyersKey) + redis.call('HLEN', archivedUnitsKey) > BUYERS_MAX then
    return { 'many-buyers', limit }
  end
  local users, most, owned = 0, 0, {}
  for _, key in ipairs({ buyersKey, archivedUnitsKey }) do
    local flat = redis.call('HGETALL', key)
    for index = 1, #flat, 2 do
      owned[flat[index]] = (owned[flat[index]] or 0) + tonumber(flat[index + 1])
    end
  end
  for _, units in pairs(owned) do
    if units > limit then
      users, most = users + 1, math.max(most, units)
    end
  end
  if users > 0 then
    return { 'units-owned', users, most }
  end
end

local before = redis.call('HGETALL', saleKey)
local event = { 'by', by }
for field, change in pairs(changes) do
  if change == NONE then
    redis.call('HDEL', saleKey, field)
  elseif change ~= KEEP then
    redis.call('HSET', saleKey, field, change)
  end
  if change ~= KEEP then
    event[#event + 1] = field
    event[#event + 1] = change
  end
end
-- From now on the units of orders that leave the ledger are counted, or not any more.
if limit then
  redis.call('HSET', countsKey, 'archived_counted', 1)
elseif changes.units_per_user == NONE then
  redis.call('HDEL', countsKey, 'archived_counted')
  redis.call('UNLINK', archivedUnitsKey)
end
addAdjustment('sale', unpack(event))
return { 'changed', before, redis.call('HGETALL', saleKey) }
