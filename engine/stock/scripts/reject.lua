--[[
  Write down that a request is about to be rejected, although an earlier attempt of it may be in the log: from now on
  no record of it takes a unit, unless its buyer asks again and is given a hold.

  KEYS[8]  the rejections of the item: request_id by the time of its rejection

  ARGV[1]  request_id
  ARGV[2]  how long a record may lie unread in the log, in ms

  Returns  {"rejected"}
           {"exists", entry}
           {"in-progress", ms until the other attempt's lease ends}
]]
requireLedger()
local rejectionsKey = KEYS[8]
local requestId, retentionMs = ARGV[1], tonumber(ARGV[2])
local now = nowMs()
local entry, raw = readEntry(requestId)
if entry and entry.state == 'held' then
  return { 'in-progress', math.max(entry.lease_until - now, 0) }
end
if entry then
  return { 'exists', raw }
end
redis.call('ZREMRANGEBYSCORE', rejectionsKey, '-inf', whole(now - retentionMs))
redis.call('ZADD', rejectionsKey, whole(now), requestId)
return { 'rejected' }
