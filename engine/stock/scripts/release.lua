#!lua flags=allow-oom
--[[
  Release an order: its units go back and its generation is closed, unless it is sold.

  ARGV[1]  request_id
  ARGV[2]  fence of the step
  ARGV[3]  reason
  ARGV[4]  generation that the provider has declined for certain, or 0
  ARGV[5]  user_id
  ARGV[6]  units
  ARGV[7]  fingerprint
  ARGV[8]  price in minor units
  ARGV[9]  currency
  ARGV[10] accepted_at in ms
  ARGV[11] order id, or - for none; it counts only where there is no entry, and for whether the order is archived
  ARGV[12] 1 where the archive knows of no end of this order

  Returns, with the order id of the entry or "" and its revision or 0 at the end,
           {"released", generation, unresolved charges, 1 when its buyer has cancelled it, else 0, order id, revision}
           {"sold", generation, unresolved charges, payment id or "", order id, revision}
           {"archived", 0, "", "", "", 0}   only the archive knows what became of it
]]
local requestId, fence, reason, declined = ARGV[1], tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4])
requireLedger()
local now = nowMs()

local entry = readEntry(requestId)
if isArchived(entry, ARGV[11], ARGV[10], ARGV[12]) then
  return { 'archived', 0, '', '', '', 0 }
end
-- The id belongs to another request: this order never held anything.
if entry and entry.fingerprint ~= ARGV[7] then
  return { 'released', 0, '', 0, '', 0 }
end
if entry and entry.state == 'sold' then
  return {
    'sold', entry.generation, entry.owed, entry.payment_id or '', entry.order_id or '', entry.revision or 0,
  }
end

entry = entry or newEntry(ARGV[11], ARGV[6], ARGV[5], ARGV[7], ARGV[8], ARGV[9], ARGV[10])
if declined > 0 then
  entry.owed = withoutCharge(entry.owed, declined)
end

if entry.state ~= 'released' and entry.fence <= fence then
  releaseOrder(requestId, entry, reason, now)
end
entry.fence = math.max(entry.fence, fence)
writeEntry(requestId, entry)
return {
  'released', entry.generation, entry.owed, entry.cancelled_by_buyer and 1 or 0, entry.order_id or '',
  entry.revision or 0,
}
