#!lua flags=allow-oom
--[[
  Reclaim the units of holds whose lease is over: a few at a time, the oldest first.

  Returns  how many such leases are left
]]
local now = nowMs()
requireLedger()
reclaimPage(openStock(), math.huge, now)
return redis.call('ZCOUNT', leasesKey, '-inf', whole(now))
