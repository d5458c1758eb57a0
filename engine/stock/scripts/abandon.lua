#!lua flags=allow-oom
--[[
  Release an order that never gets a workflow, because its id belongs to another order.

  ARGV[1]  request_id
  ARGV[2]  fingerprint of the order to end
  ARGV[3]  reason
  ARGV[4]  order id, or - for none

  Returns  1 released | 0 unchanged: no entry, another order's entry, or one with a workflow
]]
local requestId, fingerprint, reason = ARGV[1], ARGV[2], ARGV[3]
requireLedger()
local entry = readEntry(requestId)
local isIt = entry and entry.fingerprint == fingerprint and isOrder(entry, ARGV[4])
if not isIt or (entry.state ~= 'held' and entry.state ~= 'queued') then
  return 0
end
releaseOrder(requestId, entry, reason, nowMs())
writeEntry(requestId, entry)
return 1
