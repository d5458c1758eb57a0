--[[
  Compare the counts with the entries, and on demand write the counts that follow from them. The free units do not follow
  from entries: they stay, and the supply follows from both.

  ARGV[1]  "look" | "mend" | "accept" (mend, and open a ledger that is not open)
  ARGV[2]  token of the registry, for "accept"
  ARGV[3]  operator
  ARGV[4]  why

  Returns  {field, there, should be, ...} for each difference, as it was before the call
           {"!", request_id, "cannot be read"} for an entry written by hand; nothing is changed
]]
local mode, token, by, why = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local sums = { held = 0, queued = 0, reserved = 0, sold = 0 }
local owned, leases, total = {}, {}, 0
local stored = redis.call('HGETALL', ordersKey)
for index = 1, #stored, 2 do
  local ok, entry = pcall(cjson.decode, stored[index + 1])
  local sound = ok and type(entry) == 'table' and type(entry.user) == 'string' and type(entry.units) == 'number'
    and entry.units > 0 and entry.units % 1 == 0 and (sums[entry.state] or entry.state == 'released')
    and (entry.state ~= 'held' or type(entry.lease_until) == 'number')
  if not sound then
    return { '!', stored[index], 'cannot be read' }
  end
  if entry.state ~= 'released' then
    sums[entry.state] = sums[entry.state] + entry.units
    owned[entry.user] = (owned[entry.user] or 0) + entry.units
    total = total + entry.units
  end
  if entry.state == 'held' then
    leases[stored[index]] = entry.lease_until
  end
end

local free = openStock()
sums.supply = free + total
local differences = {}
-- Notes the differences between a flat list of names and numbers and the numbers that should be there.
local function compare(label, flat, should)
  local there = {}
  for index = 1, #flat, 2 do
    there[flat[index]] = tonumber(flat[index + 1])
  end
  for name, number in pairs(should) do
    if (there[name] or 0) ~= number then
      differences[#differences + 1] = label .. name
      differences[#differences + 1] = whole(there[name] or 0)
      differences[#differences + 1] = whole(number)
    end
  end
  for name, number in pairs(there) do
    if not should[name] then
      differences[#differences + 1] = label .. name
      differences[#differences + 1] = whole(number)
      differences[#differences + 1] = '0'
    end
  end
end
local counts = redis.call('HMGET', countsKey, 'held', 'queued', 'reserved', 'sold', 'supply')
compare('', {
  'held', counts[1] or 0, 'queued', counts[2] or 0, 'reserved', counts[3] or 0, 'sold', counts[4] or 0,
  'supply', counts[5] or 0,
}, sums)
compare('buyer ', redis.call('HGETALL', buyersKey), owned)
compare('lease ', redis.call('ZRANGE', leasesKey, 0, -1, 'WITHSCORES'), leases)

if mode == 'look' or (mode == 'mend' and #differences == 0) then
  return differences
end
redis.call('DEL', buyersKey, leasesKey)
for user, units in pairs(owned) do
  redis.call('HSET', buyersKey, user, whole(units))
end
for requestId, leaseUntil in pairs(leases) do
  redis.call('ZADD', leasesKey, whole(leaseUntil), requestId)
end
for name, number in pairs(sums) do
  redis.call('HSET', countsKey, name, whole(number))
end
if mode == 'accept' then
  redis.call('HSET', countsKey, 'opened', token)
  redis.call('HDEL', countsKey, 'opening')
end
redis.call('XADD', eventsKey, 'MAXLEN', '~', EVENTS_MAX, '*', 'state', mode == 'accept' and 'accepted' or 'recounted',
  'by', by, 'why', why, 'free', whole(free), 'units', whole(total))
return differences
