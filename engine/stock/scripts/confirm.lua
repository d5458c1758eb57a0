#!lua flags=allow-oom
--[[
  Sell the units of an order: the money of this generation is taken.

  ARGV[1]  request_id
  ARGV[2]  generation that was charged
  ARGV[3]  fence of the step
  ARGV[4]  payment id
  ARGV[5]  order id, or - for none
  ARGV[6]  1 where the archive knows of no end of this order

  Returns  {"sold", revision, or 0 for none} | {"lost", 0} | {"archived", 0}: only the archive knows what became of it
]]
local requestId, generation, fence, paymentId = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
requireLedger()
local entry = readEntry(requestId)
-- It had an entry when it was reserved.
if isArchived(entry, ARGV[5], 0, ARGV[6]) then
  return { 'archived', 0 }
end
if not entry or not isOrder(entry, ARGV[5]) or entry.generation ~= generation then
  return { 'lost', 0 }
end
if entry.state == 'sold' then
  return { 'sold', entry.revision or 0 }
end
if entry.state ~= 'reserved' or entry.fence > fence then
  return { 'lost', 0 }
end
local now = nowMs()
local free = openStock()
entry.fence = fence
entry.run = nil
entry.payment_id = paymentId
entry.finished_at = now
entry.owed = withoutCharge(entry.owed, generation)
enter(entry, 'sold', now)
writeEntry(requestId, entry)
addCount('reserved', -entry.units)
addCount('sold', entry.units)
addEvent(requestId, entry, 'sold', free)
return { 'sold', entry.revision }
