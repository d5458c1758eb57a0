--[[
  Change how an item is sold. Orders that are already admitted keep their price.

  ARGV[1]  price in minor units    in each of these five: "" leaves the field as it is, "-" removes it
  ARGV[2]  currency
  ARGV[3]  units per user
  ARGV[4]  opening, in ms since the epoch
  ARGV[5]  closing, in ms since the epoch
  ARGV[6]  1 to allow users who own more than the limit, or after the caller has looked for them
  ARGV[7]  operator
  ARGV[8]  the free units that the operator has seen, or "" for any number

  Returns  {"changed", fields and values before, the same after}
           {"stale", free units}          not the number that the operator has seen
           {"unknown-item"}
           {"window", opening, closing}   the sale would end before it starts
           {"units-owned", users above the limit, units of the user with the most}
           {"many-buyers", limit}   too many to look at in one call: the caller looks for those above the limit
]]
local changes = {
  price = ARGV[1], currency = ARGV[2], units_per_user = ARGV[3], opens_at = ARGV[4], closes_at = ARGV[5],
}
local mayBeAbove, by = ARGV[6] == '1', ARGV[7]
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
local seen = tonumber(ARGV[8])
local free = seen and wholeUnits(redis.call('GET', freeKey) or '0')
if free ~= seen then
  return { 'stale', free }
end
local opensAt, closesAt = numberAfter('opens_at'), numberAfter('closes_at')
if opensAt and closesAt and closesAt <= opensAt then
  return { 'window', opensAt, closesAt }
end
local limit = changes.units_per_user ~= KEEP and numberAfter('units_per_user')
if limit and not mayBeAbove then
  if redis.call('HLEN', buyersKey) > BUYERS_MAX then
    return { 'many-buyers', limit }
  end
  local users, most = 0, 0
  for _, owned in ipairs(redis.call('HVALS', buyersKey)) do
    local units = tonumber(owned)
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
addAdjustment('sale', unpack(event))
return { 'changed', before, redis.call('HGETALL', saleKey) }
