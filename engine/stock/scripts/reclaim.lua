--[[
  Give back what holds have left whose lease is over: a few at a time, the oldest first.

  Returns  how many leases are still over
]]
local now = nowMs()
requireLedger()
reclaim(openStock(), math.huge, now)
return redis.call('ZCOUNT', leasesKey, '-inf', whole(now))
