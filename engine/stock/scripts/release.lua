--[[
  Give an order's units back and close its generation, unless it was sold after all.

  ARGV[1]  request_id
  ARGV[2]  fence of the step
  ARGV[3]  reason
  ARGV[4]  generation known to hold no money (a definite decline), or 0
  ARGV[5]  user_id
  ARGV[6]  units
  ARGV[7]  fingerprint
  ARGV[8]  price in minor units
  ARGV[9]  currency
  ARGV[10] accepted_at in ms

  Returns  {"released", generation, owed, 1 when its buyer has cancelled it, else 0}
           {"sold", generation, owed, payment id or ""}
]]
local requestId, fence, reason, declined = ARGV[1], tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4])
requireLedger()
local now = nowMs()

local entry = readEntry(requestId)
-- The id is another request's: this one never held anything.
if entry and entry.fingerprint ~= ARGV[7] then
  return { 'released', 0, '', 0 }
end
if entry and entry.state == 'sold' then
  return { 'sold', entry.generation, entry.owed, entry.payment_id or '' }
end

entry = entry or {
  units = tonumber(ARGV[6]), user = ARGV[5], fingerprint = ARGV[7], generation = 0, fence = 0, owed = '',
  price = tonumber(ARGV[8]), currency = ARGV[9], accepted_at = tonumber(ARGV[10]),
}
if declined > 0 then
  entry.owed = owedWithout(entry.owed, declined)
end

if entry.state ~= 'released' and entry.fence <= fence then
  giveUp(requestId, entry, reason, now)
end
entry.fence = math.max(entry.fence, fence)
writeEntry(requestId, entry)
return { 'released', entry.generation, entry.owed, entry.cancelled_by_buyer and 1 or 0 }
