--[[
  Code that all scripts of the ledger share; it is put in front of each script. Every script takes the nine keys of one item
  in this order. They share a cluster slot.

  KEYS[1]  free units                     string
  KEYS[2]  entries by request_id          hash    JSON
  KEYS[3]  counts of units by state       hash
  KEYS[4]  units held or owned by user    hash
  KEYS[5]  held request_ids by lease end  zset
  KEYS[6]  how the item is sold           hash
  KEYS[7]  changes of state               stream
  KEYS[8]  units of archived orders by user, while the item has a limit for each user  hash
  KEYS[9]  changes of the stock and of the sale, until they are archived               stream

  Returns  nothing of its own
]]
local freeKey, ordersKey, countsKey, buyersKey = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local leasesKey, saleKey, eventsKey = KEYS[5], KEYS[6], KEYS[7]
local archivedUnitsKey, adjustmentsKey = KEYS[8], KEYS[9]

-- Entries of the stream, each with the changes of one call. About a day of a busy item; readers that need more follow it.
local EVENTS_MAX = 100000
-- Leases that are reclaimed at a time.
local RECLAIM_PAGE = 20
-- An order that is retried without end keeps only its last steps.
local TIMELINE_LENGTH_MAX = 1000
-- The clock of a Redis that was lost may have been ahead of this one by so much.
local CLOCKS_DIFFER_MS = 3600000

-- Lua converts large numbers to text as 1.7e+12. Numeric arguments of a command do not need this function: the server
-- writes integers in full.
local function whole(number)
  return string.format('%d', number)
end

local function nowMs()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

local function readEntry(requestId)
  local raw = redis.call('HGET', ordersKey, requestId)
  if not raw then
    return nil, nil
  end
  return cjson.decode(raw), raw
end

-- The stored entries of several requests in one call; false for a request without an entry.
local function readRawEntries(requestIds)
  return redis.call('HMGET', ordersKey, unpack(requestIds))
end

local function writeEntry(requestId, entry)
  local raw = cjson.encode(entry)
  redis.call('HSET', ordersKey, requestId, raw)
  return raw
end

-- Whether an entry is the order with this id; "-" is the id of an order that is older than order ids. Another order's entry
-- may stand under a request_id that is used again.
local function isOrder(entry, orderId)
  return (entry.order_id or '-') == orderId
end

-- An order that no attempt has held.
local function newEntry(orderId, units, user, fingerprint, price, currency, acceptedAt)
  return {
    order_id = orderId ~= '-' and orderId or nil, units = tonumber(units), user = user, fingerprint = fingerprint,
    generation = 0, fence = 0, owed = '',
    price = tonumber(price), currency = currency, accepted_at = tonumber(acceptedAt),
  }
end

local function wholeUnits(raw)
  if not (string.find(raw, '^%d+$') and #raw <= 15) then
    error({ err = 'BADSTOCK ' .. freeKey .. ' must be a whole number of units, not ' .. string.sub(raw, 1, 40) })
  end
  return tonumber(raw)
end

-- Every script that knows an order only by its entry calls this first. In a lost ledger a missing entry does not mean that
-- there was none, and a wrong "lost" or "settled" would refund units that are sold.
local function requireLedger()
  if redis.call('HEXISTS', countsKey, 'opened') == 0 then
    error({ err = 'NOLEDGER the ledger of ' .. freeKey .. ' is not open' })
  end
end

-- What the item itself is, once the counts have it, until it is archived: nothing else bounds this stream. A sale of another
-- type, written by hand, is recorded as an error. Returns the free units and the supply.
local function addStanding(state, ...)
  -- The newest change of a retired item is its retirement.
  redis.call('HDEL', countsKey, 'retired')
  local counts = redis.call('HMGET', countsKey, 'free', 'supply', 'opened')
  local free, supply = counts[1] or '0', counts[2] or '0'
  redis.call('XADD', adjustmentsKey, '*', 'state', state, 'free', free, 'supply', supply,
    'open', counts[3] and '1' or '0', 'sale', cjson.encode(redis.pcall('HGETALL', saleKey)), ...)
  return free, supply
end

-- The same of a change, which is also among the item's events.
local function addAdjustment(state, ...)
  local free, supply = addStanding(state, ...)
  redis.call('XADD', eventsKey, 'MAXLEN', '~', EVENTS_MAX, '*', 'state', state, 'free', free, 'supply', supply, ...)
end

-- The time of the newest acceptance of which the ledger need not have the entry; nil: it has every entry. Whoever finds none,
-- or another order's, of an order that was accepted by then is answered `archived`: only the archive knows what became of it.
local function archivedUntil()
  return tonumber(redis.call('HGET', countsKey, 'archived_until'))
end

-- What it is for a ledger that begins now, but may have had orders before.
local function archivedUntilNow()
  return whole(nowMs() + CLOCKS_DIFFER_MS)
end

-- Whether to ask the archive about an order. `unarchived` is 1 where the archive was asked and knows of no end.
local function isArchived(entry, orderId, acceptedAt, unarchived)
  if unarchived == '1' or (entry and isOrder(entry, orderId)) then
    return false
  end
  local untilMs = archivedUntil()
  return untilMs ~= nil and tonumber(acceptedAt) <= untilMs
end

-- Returns the free units, whether there is a stock key, and whether the ledger is open. A difference from the free units
-- that the last script left is a change from outside (SET inventory:<item>): the supply moves by it and it is recorded,
-- before anything else. A key that vanished from an open ledger (DEL, EXPIRE, eviction) means that no unit is free.
local function openStock()
  local raw = redis.call('GET', freeKey)
  local free = wholeUnits(raw or '0')
  local counts = redis.call('HMGET', countsKey, 'free', 'opened')
  local opened = counts[2] ~= false
  local change = free - tonumber(counts[1] or 0)
  if change ~= 0 then
    redis.call('HINCRBY', countsKey, 'supply', whole(change))
    redis.call('HSET', countsKey, 'free', whole(free))
    addAdjustment((raw or not opened) and 'adjusted' or 'vanished', 'units', whole(change))
  end
  return free, raw ~= false, opened
end

local function writeFree(free)
  redis.call('SET', freeKey, whole(free))
  redis.call('HSET', countsKey, 'free', whole(free))
end

local function addCount(state, units)
  redis.call('HINCRBY', countsKey, state, whole(units))
end

local function addBuyer(user, units)
  if redis.call('HINCRBY', buyersKey, user, whole(units)) <= 0 then
    redis.call('HDEL', buyersKey, user)
  end
end

-- Units of an order that count as its buyer's: without those that were put back with a refund.
local function ownedUnits(entry)
  local units = entry.units
  for _, back in pairs(entry.restocked or {}) do
    units = units - back
  end
  return units
end

-- Scripts that add events by the hundred call this once.
local function trimEvents()
  redis.call('XTRIM', eventsKey, 'MAXLEN', '~', EVENTS_MAX)
end

-- A change of one order as the stream stores it: request_id, units, generation, and the free units after it.
local function changeOf(requestId, entry, free)
  return string.format('%s %d %d %d', requestId, entry.units, entry.generation, free)
end

-- Orders that enter a state in one call share an entry of the stream, in their order: an entry costs the server more than a
-- change in it. No request_id has a space or a comma.
local function addEvents(state, changes)
  redis.call('XADD', eventsKey, '*', 'state', state, 'changes', table.concat(changes, ','))
end

local function addEvent(requestId, entry, state, free)
  addEvents(state, { changeOf(requestId, entry, free) })
end

local function addStep(entry, step, now)
  local timeline = (entry.timeline or '') .. step .. '@' .. whole(now) .. ' '
  if #timeline > TIMELINE_LENGTH_MAX then
    timeline = string.gsub(string.sub(timeline, -TIMELINE_LENGTH_MAX), '^%S* ', '')
  end
  entry.timeline = timeline
end

-- Puts the entry into a state and records the time. The caller moves the counts. The revision numbers the ends of an order for
-- readers of its events: the time, so that it grows over a loss of the ledger as well, and more where two fall together. An
-- order that ended before there were revisions has none.
local function enter(entry, state, now)
  entry.state = state
  if state == 'sold' or state == 'released' then
    entry.revision = math.max((tonumber(entry.revision) or 0) + 1, now)
    entry.pay_by = nil
  end
  addStep(entry, state, now)
end

-- The caller removes the lease from the leases' key.
local function endHold(entry)
  entry.token = nil
  entry.lease_until = nil
end

local function forgetHold(requestId, entry)
  redis.call('ZREM', leasesKey, requestId)
  endHold(entry)
end

-- Releases an order: its units go back. If its buyer has cancelled it, the reason is always `cancelled`. The caller writes
-- the entry.
local function releaseOrder(requestId, entry, reason, now)
  local free = openStock()
  if entry.state and entry.state ~= 'released' then
    free = free + entry.units
    writeFree(free)
    addCount(entry.state, -entry.units)
    addBuyer(entry.user, -entry.units)
    forgetHold(requestId, entry)
  end
  entry.reason = entry.cancelled_by_buyer and 'cancelled' or reason
  entry.finished_at = now
  enter(entry, 'released', now)
  addEvent(requestId, entry, 'released', free)
end

-- Removes holds whose lease is over, a page of them, until enough units are free; returns the free units, and whether more
-- such holds may be left. Removed entries are also removed from `stored`, the entries that the caller has read before, by
-- request_id.
local function reclaimPage(free, units, now, stored)
  local expired = redis.call('ZRANGE', leasesKey, '-inf', whole(now), 'BYSCORE', 'LIMIT', 0, RECLAIM_PAGE)
  for _, requestId in ipairs(expired) do
    if free >= units then
      break
    end
    local entry = readEntry(requestId)
    if entry and entry.state == 'held' then
      free = free + entry.units
      addCount('held', -entry.units)
      addBuyer(entry.user, -entry.units)
      redis.call('HDEL', ordersKey, requestId)
      if stored then
        stored[requestId] = nil
      end
      addEvent(requestId, entry, 'reclaimed', free)
      writeFree(free)
    end
    redis.call('ZREM', leasesKey, requestId)
  end
  return free, #expired == RECLAIM_PAGE
end

-- The same until enough units are free or no such hold is left. The buyer waits; each hold returns a unit at least, so that
-- there are no more of them than units wanted.
local function reclaim(free, units, now, stored)
  local more = true
  while free < units and more do
    free, more = reclaimPage(free, units, now, stored)
  end
  return free
end

-- A number of the sale, which an operator may have written; a mistyped one must not open the sale by accident.
local function parseSaleNumber(field, raw)
  if not raw then
    return nil
  end
  if not (string.find(raw, '^%d+$') and #raw <= 15) then
    error({ err = 'BADSALE ' .. saleKey .. ' ' .. field .. ' must be a whole number, not ' .. string.sub(raw, 1, 40) })
  end
  return tonumber(raw)
end

local function saleNumber(field)
  return parseSaleNumber(field, redis.call('HGET', saleKey, field))
end

-- Units that the user holds or owns now; those of archived orders count while the item has a limit.
local function unitsOf(user)
  return tonumber(redis.call('HGET', buyersKey, user) or 0) + tonumber(redis.call('HGET', archivedUnitsKey, user) or 0)
end

-- Returns the units that the user may have and has now; nil without a limit.
local function allowance(user)
  local limit = saleNumber('units_per_user')
  return limit, limit and unitsOf(user)
end

-- Generations with unresolved charges, in the stored field `owed` as "1,2,": cjson cannot tell an empty list from an empty
-- object. The field keeps its first name because old entries have it.
local function addUnresolvedCharge(entry, generation)
  entry.owed = entry.owed .. whole(generation) .. ','
end

local function withoutCharge(owed, generation)
  local rest = {}
  for one in string.gmatch(owed, '%d+') do
    if tonumber(one) ~= tonumber(generation) then
      rest[#rest + 1] = one .. ','
    end
  end
  return table.concat(rest)
end
