#!lua flags=allow-oom
--[[
  Reserve an order's units for its workflow, and open a generation for its charge.

  KEYS[10]  the rejections of the item, see reject.lua

  ARGV[1]  request_id
  ARGV[2]  fence of the step
  ARGV[3]  user_id
  ARGV[4]  units
  ARGV[5]  fingerprint
  ARGV[6]  price in minor units
  ARGV[7]  currency
  ARGV[8]  accepted_at in ms
  ARGV[9]  order id, or - for none
  ARGV[10] "first": the first start of a record | "again": a replay, a reset or a start by hand
  ARGV[11] run id, or nothing
  ARGV[12] how long ago an order may have been accepted of which there is no entry, in ms; only for "first"
  ARGV[13] 1 where the archive knows of no end of this order
  ARGV[14] how long the buyer has to pay, in ms; nothing where the engine charges by itself

  Returns, with the unresolved charges of earlier generations as "1,2,", and at the end the order id or "", the price and
  the currency of the entry, which the run goes on with, its revision or 0, and of a reserved order that its buyer pays, or
  else 0 and 0, the time in ms by which that is due and the ms until then,
           {"reserved", generation, charges, 1 if it was reserved before, else 0, ...}
           {"sold", generation, charges, payment id or "", ...}
           {"sold-out", 0, charges, "", ...}
           {"limit", 0, charges, "", ...}      the user may have no more units
           {"ended", 0, charges, reason, ...}  released before: a first start tries nothing again
           {"expired", 0, ""}                  a first start of a record that is too old
           {"over", 0, charges, "", ...}       too late: a later step took effect
           {"cancelled", 0, charges, "", ...}  by its buyer
           {"mismatch", 0, ""}                 the id belongs to another request
           {"archived", 0, ""}                 only the archive knows what became of it
  The error RECLAIMING asks the caller to try again: more leases are over than one call reclaims.
]]
-- Pages of leases: a thousand leases take about 15 ms.
local LIMIT_PAGES_MAX = 50

-- What a run is told again that was refused with the reason.
local REFUSALS = { ['sold-out'] = 'sold-out', ['purchase-limit'] = 'limit' }

local requestId, fence, user, units, fingerprint = ARGV[1], tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4]), ARGV[5]
local isFirst, runId = ARGV[10] == 'first', ARGV[11]
local rejectionsKey = KEYS[10]
requireLedger()
local now = nowMs()

local entry = readEntry(requestId)
if isArchived(entry, ARGV[9], ARGV[8], ARGV[13]) then
  return { 'archived', 0, '' }
end
if entry and entry.fingerprint ~= fingerprint then
  return { 'mismatch', 0, '' }
end

local function answer(kind, generation, charges, detail)
  local payBy = kind == 'reserved' and entry.pay_by
  local payLeft = payBy and not entry.cancelled_by_buyer and math.max(0, payBy - now) or 0
  return {
    kind, generation, charges, detail, entry.order_id or '', entry.price, entry.currency, entry.revision or 0,
    payBy or 0, payLeft,
  }
end

if entry and entry.state == 'sold' then
  return answer('sold', entry.generation, entry.owed, entry.payment_id or '')
end
-- Checked before any unit is taken, for every run. The mark is never consumed: after a lost workflow task the step is asked
-- for again under a larger fence. Where the buyer pays, the run goes on with no time left: it ends the payment before it
-- releases the units, which finds the mark.
local mayRelease = entry and entry.state == 'reserved' and entry.fence <= fence
if entry and entry.cancelled_by_buyer and not (mayRelease and entry.pay_by) then
  if mayRelease then
    entry.fence = fence
    releaseOrder(requestId, entry, 'cancelled', now)
    writeEntry(requestId, entry)
  end
  return answer('cancelled', 0, entry.owed, '')
end
if entry and entry.state == 'reserved' then
  if entry.fence > fence then
    return answer('over', 0, entry.owed, '')
  end
  entry.fence = fence
  entry.run = runId ~= '' and runId or nil
  writeEntry(requestId, entry)
  return answer('reserved', entry.generation, withoutCharge(entry.owed, entry.generation), 1)
end
if entry and entry.state == 'released' then
  -- This run has asked before, and the answer or the task in which it asked was lost.
  local isRepeat = entry.run == runId
  local refused = REFUSALS[entry.reason]
  if isRepeat and refused and (isFirst or entry.fence == fence) then
    return answer(refused, 0, entry.owed, '')
  end
  -- The record was read again: the order has failed, and nobody has asked for another try.
  if isFirst and not isRepeat then
    return answer('ended', 0, entry.owed, entry.reason)
  end
  -- Released by a later step of this run, by a later run or by a repair.
  if isFirst or entry.fence >= fence then
    return answer('over', 0, entry.owed, '')
  end
end
if not entry and isFirst and now - tonumber(ARGV[8]) > tonumber(ARGV[12]) then
  return { 'expired', 0, '' }
end

-- Why a user gets no units; nil where the units are there, or are when leases that are over have been reclaimed.
local function refusal(free)
  -- The rejection is never consumed: after a lost workflow task the step is asked for again, when a unit may be free.
  if redis.call('ZSCORE', rejectionsKey, requestId) then
    return 'sold-out', free
  end
  local limit, owned = allowance(user)
  -- A dead attempt of this user counts against the limit until it is reclaimed, and may lie behind any number of others.
  local pages, more = 0, true
  while limit and owned + units > limit and more do
    if pages == LIMIT_PAGES_MAX then
      error({ err = 'RECLAIMING too many leases of ' .. freeKey .. ' are over for one call' })
    end
    pages = pages + 1
    free, more = reclaimPage(free, math.huge, now)
    owned = unitsOf(user)
  end
  if limit and owned + units > limit then
    return 'limit', free
  end
  if free < units then
    free = reclaim(free, units, now)
  end
  return free < units and 'sold-out' or nil, free
end

local free = openStock()
if entry and (entry.state == 'held' or entry.state == 'queued') then
  addCount(entry.state, -units)
  forgetHold(requestId, entry)
  -- The buyer has asked again since the rejection, and got a hold.
  redis.call('ZREM', rejectionsKey, requestId)
else
  entry = entry or newEntry(ARGV[9], units, user, fingerprint, ARGV[6], ARGV[7], ARGV[8])
  local refused
  refused, free = refusal(free)
  if refused then
    entry.fence = fence
    entry.run = runId ~= '' and runId or nil
    entry.reason = refused == 'limit' and 'purchase-limit' or 'sold-out'
    entry.finished_at = now
    enter(entry, 'released', now)
    addEvent(requestId, entry, 'released', free)
    writeEntry(requestId, entry)
    return answer(refused, 0, entry.owed, '')
  end
  free = free - units
  writeFree(free)
  addBuyer(user, units)
end

local chargesBefore = entry.owed
entry.generation = entry.generation + 1
entry.fence = fence
entry.run = runId ~= '' and runId or nil
entry.reason = nil
entry.finished_at = nil
addUnresolvedCharge(entry, entry.generation)
enter(entry, 'reserved', now)
-- An entry that was rebuilt has the time of its own record, not that of another acceptance.
if isOrder(entry, ARGV[9]) then
  entry.pay_within = entry.pay_within or tonumber(ARGV[14])
end
-- With the generation: whoever reserves it again has no more time.
if entry.pay_within then
  entry.pay_by = now + entry.pay_within
  addStep(entry, 'awaiting-payment', now)
end
writeEntry(requestId, entry)
addCount('reserved', units)
addEvent(requestId, entry, 'reserved', free)
trimEvents()
return answer('reserved', entry.generation, chargesBefore, 0)
