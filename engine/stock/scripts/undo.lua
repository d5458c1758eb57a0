#!lua flags=allow-oom
--[[
  Undo a hold, as if it had never been made: only the attempt that made it, and only while the order is held.

  ARGV[1]  request_id
  ARGV[2]  token of the attempt

  Returns  1 undone | 0 nothing to undo
]]
local requestId, token = ARGV[1], ARGV[2]
local entry = readEntry(requestId)
if not entry or entry.state ~= 'held' or entry.token ~= token then
  return 0
end
local free = openStock() + entry.units
redis.call('HDEL', ordersKey, requestId)
redis.call('ZREM', leasesKey, requestId)
writeFree(free)
addCount('held', -entry.units)
addBuyer(entry.user, -entry.units)
addEvent(requestId, entry, 'undone', free)
return 1
