#!lua flags=allow-oom
--[[
  Cancel an order for its buyer: a queued order is released, a reserved order is marked for its workflow. The mark stays in
  the entry, so that no later run reserves the order again.

  ARGV[1]  request_id
  ARGV[2]  user_id of the caller

  Returns  {"unknown"}           no entry, or only held: no order was accepted
           {"not-the-buyer"}
           {"cancelled", entry}
           {"under-way", entry}  reserved, and marked; or its payment is not known to be ended
           {"sold", entry}
           {"failed", entry}
]]
requireLedger()
local requestId, user = ARGV[1], ARGV[2]
local entry, raw = readEntry(requestId)
if not entry or entry.state == 'held' then
  return { 'unknown' }
end
if entry.user ~= user then
  return { 'not-the-buyer' }
end
if entry.state == 'sold' then
  return { 'sold', raw }
end
-- Of a payment that was due the order is cancelled as well, and may be tried again.
if entry.state == 'released' and entry.reason ~= 'cancelled' and entry.reason ~= 'payment-deadline' then
  return { 'failed', raw }
end
if not entry.cancelled_by_buyer then
  entry.cancelled_by_buyer = true
  if entry.state == 'queued' then
    releaseOrder(requestId, entry, 'cancelled', nowMs())
  end
  writeEntry(requestId, entry)
end
-- Where the buyer pays, nobody may be told before the provider has ended the payment: its charge is resolved by then.
local isOver = entry.state == 'released' and not (entry.pay_within and entry.owed ~= '')
return { isOver and 'cancelled' or 'under-way', cjson.encode(entry) }
