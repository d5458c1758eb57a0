--[[
  End an order that will never have a workflow: its id was found to be another order's.

  ARGV[1]  request_id
  ARGV[2]  fingerprint of the order to end
  ARGV[3]  reason

  Returns  1 given back | 0 left alone: no entry, another request's, or already with a workflow
]]
local requestId, fingerprint, reason = ARGV[1], ARGV[2], ARGV[3]
requireLedger()
local entry = readEntry(requestId)
if not entry or entry.fingerprint ~= fingerprint or (entry.state ~= 'held' and entry.state ~= 'queued') then
  return 0
end
giveUp(requestId, entry, reason, nowMs())
writeEntry(requestId, entry)
return 1
