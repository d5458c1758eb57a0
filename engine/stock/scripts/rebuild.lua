--[[
  Put a ledger in the place of one that was lost, and open it: everything or, while a ledger is open, nothing.
  After the first arguments come the orders: a request_id and its entry each, any number of them.

  ARGV[1]  token that the registry holds
  ARGV[2]  "free" | "supply": what the number says
  ARGV[3]  units
  ARGV[4]  who rebuilds it
  ARGV[5]  why

  Returns  {"rebuilt", free, queued, reserved, sold, supply}
           {"too-small", units that the orders hold}   the supply does not cover them
           {"open", ""}                                the ledger is not lost (any more)
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
