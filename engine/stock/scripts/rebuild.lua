--[[
  Replace a lost ledger and open it. An open ledger stays as it is.
  After these arguments come the orders, any number of them: a request_id and its entry each.

  ARGV[1]  token of the registry
  ARGV[2]  "free" | "supply": the meaning of the units
  ARGV[3]  units
  ARGV[4]  operator
  ARGV[5]  why

  Returns  {"rebuilt", free, queued, reserved, sold, supply}
           {"too-small", units that the orders hold}   more than the supply
           {"open", ""}                                the ledger is not lost
]]
local token, given, units, by, why = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5]
if redis.call('HEXISTS', countsKey, 'opened') == 1 then
  return { 'open', '' }
end

local sums, owned, total = { queued = 0, reserved = 0, sold = 0 }, {}, 0
for index = 6, #ARGV, 2 do
  local entry = cjson.decode(ARGV[index + 1])
  if entry.state ~= 'released' then
    sums[entry.state] = sums[entry.state] + entry.units
    owned[entry.user] = (owned[entry.user] or 0) + entry.units
    total = total + entry.units
  end
end
if given == 'supply' and units < total then
  return { 'too-small', total }
end
local free = given == 'supply' and units - total or units

redis.call('DEL', ordersKey, countsKey, buyersKey, leasesKey)
for index = 6, #ARGV, 2 do
  redis.call('HSET', ordersKey, ARGV[index], ARGV[index + 1])
end
for user, units in pairs(owned) do
  redis.call('HSET', buyersKey, user, whole(units))
end
for state, sum in pairs(sums) do
  redis.call('HSET', countsKey, state, whole(sum))
end
writeFree(free)
redis.call('HSET', countsKey, 'supply', whole(free + total), 'opened', token)
redis.call('XADD', eventsKey, 'MAXLEN', '~', EVENTS_MAX, '*', 'state', 'rebuilt', 'by', by, 'why', why,
  'free', whole(free), 'units', whole(total))
return { 'rebuilt', free, sums.queued, sums.reserved, sums.sold, free + total }
