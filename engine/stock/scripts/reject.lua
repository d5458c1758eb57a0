--[[
  Record the rejection of a request of which an earlier attempt may be in the log: from now on no record of it takes a unit,
  unless its buyer asks again and gets a hold.

  KEYS[10]  rejected request_ids by time of rejection  zset

  ARGV[1]  request_id
  ARGV[2]  how long a record may lie unread in the log, in ms

  Returns  {"rejected"}
           {"exists", entry}
           {"in-progress", ms until the other attempt's lease ends}
]]
requireLedger()
local rejectionsKey = KEYS[10]
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
