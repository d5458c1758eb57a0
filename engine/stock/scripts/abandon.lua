--[[
  Release an order that never gets a workflow, because its id belongs to another order.

  ARGV[1]  request_id
  ARGV[2]  fingerprint of the order to end
  ARGV[3]  reason

  Returns  1 released | 0 unchanged: no entry, another request's entry, or one with a workflow
]]
local requestId, fingerprint, reason = ARGV[1], ARGV[2], ARGV[3]
requireLedger()
local entry = readEntry(requestId)
if not entry or entry.fingerprint ~= fingerprint or (entry.state ~= 'held' and entry.state ~= 'queued') then
  return 0
end
releaseOrder(requestId, entry, reason, nowMs())
writeEntry(requestId, entry)
return 1
