--[[
  What all scripts of the ledger share: it stands in front of each of them when it is loaded.
  Every script takes the seven keys of one item, always in this order, so that they share a cluster slot.

  KEYS[1]  free units                     string
  KEYS[2]  entries by request_id          hash    JSON
  KEYS[3]  counts of units by state       hash
  KEYS[4]  units held or owned by user    hash
  KEYS[5]  held request_ids by lease end  zset
  KEYS[6]  how the item is sold           hash
  KEYS[7]  changes of state               stream

  Returns  nothing by itself
]]
local freeKey, ordersKey, countsKey, buyersKey = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local leasesKey, saleKey, eventsKey = KEYS[5], KEYS[6], KEYS[7]

-- Entries, each of what one call did. About a day of a busy item; readers that need more follow the stream.
local EVENTS_MAX = 100000
-- Reclaiming is paid for by a buyer who waits: a few leases at a time.
local RECLAIM_MAX = 20
-- An order that is retried for ever keeps its last steps, not all of them.
local TIMELINE_LENGTH_MAX = 1000

-- Lua joins large numbers to texts as 1.7e+12. Numbers that are arguments of a command need no such care: the server
-- writes whole ones as they are.
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

-- The entries of several requests in one call, as they are stored; false for those that have none.
local function readRawEntries(requestIds)
  return redis.call('HMGET', ordersKey, unpack(requestIds))
end

local function writeEntry(requestId, entry)
  local raw = cjson.encode(entry)
  redis.call('HSET', ordersKey, requestId, raw)
  return raw
end

local function wholeUnits(raw)
  if not (string.find(raw, '^%d+$') and #raw <= 15) then
    error({ err = 'BADSTOCK ' .. freeKey .. ' must be a whole number of units, not ' .. string.sub(raw, 1, 40) })
  end
  return tonumber(raw)
end

-- Every script that knows an order only by its entry asks this first: where Redis has lost the ledger, "no entry" does
-- not mean that there was none, and a wrong "lost" or "settled" would give money back for units that are sold.
local function requireLedger()
  if redis.call('HEXISTS', countsKey, 'opened') == 0 then
    error({ err = 'NOLEDGER the ledger of ' .. freeKey .. ' is not open' })
  end
end

-- Free units, whether the item is known, and whether its ledger is open. A difference from what the last script left
-- was made from outside (SET inventory:<item>): supply moves by it and the change is recorded, before anything else.
local function openStock()
  local raw = redis.call('GET', freeKey)
  local free = wholeUnits(raw or '0')
  local counts = redis.call('HMGET', countsKey, 'free', 'opened')
  local change = free - tonumber(counts[1] or 0)
  if change ~= 0 then
    redis.call('HINCRBY', countsKey, 'supply', whole(change))
    redis.call('HSET', countsKey, 'free', whole(free))
    redis.call('XADD', eventsKey, 'MAXLEN', '~', EVENTS_MAX, '*',
      'state', 'adjusted', 'units', whole(change), 'free', whole(free))
  end
  return free, raw ~= false, counts[2] ~= false
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

-- Who adds events by the hundred trims the stream once for all of them.
local function trimEvents()
  redis.call('XTRIM', eventsKey, 'MAXLEN', '~', EVENTS_MAX)
end

-- A change of one order as the stream tells it: request_id, units, generation, and the free units after it.
local function changeOf(requestId, entry, free)
  return string.format('%s %d %d %d', requestId, entry.units, entry.generation, free)
end

-- Orders that come into a state in one call share an entry of the stream, in their order: an entry costs the server
-- more than a change in it does. No request_id has a space or a comma.
local function addEvents(state, changes)
  redis.call('XADD', eventsKey, '*', 'state', state, 'changes', table.concat(changes, ','))
end

local function addEvent(requestId, entry, state, free)
  addEvents(state, { changeOf(requestId, entry, free) })
end

-- Puts the entry into a state and notes when. The counts are the caller's to move.
local function enter(entry, state, now)
  entry.state = state
  local timeline = (entry.timeline or '') .. state .. '@' .. whole(now) .. ' '
  if #timeline > TIMELINE_LENGTH_MAX then
    timeline = string.gsub(string.sub(timeline, -TIMELINE_LENGTH_MAX), '^%S* ', '')
  end
  entry.timeline = timeline
end

-- The leases' own key is the caller's to mend.
local function endHold(entry)
  entry.token = nil
  entry.lease_until = nil
end

local function forgetHold(requestId, entry)
  redis.call('ZREM', leasesKey, requestId)
  endHold(entry)
end

-- Ends an order without a sale: what it holds goes back. An order that its buyer has cancelled ends as cancelled,
-- whatever else has stopped it. The entry is the caller's to write.
local function giveUp(requestId, entry, reason, now)
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

-- Removes holds whose lease is over until enough units are free; answers the free units then. `stored` is what the
-- caller has read of the entries before, by request_id: it forgets those that are gone.
local function reclaim(free, units, now, stored)
  local expired = redis.call('ZRANGE', leasesKey, '-inf', whole(now), 'BYSCORE', 'LIMIT', 0, RECLAIM_MAX)
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
  return free
end

-- A number that an operator wrote into the sale; a mistyped one must not open it by accident.
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

-- Units that the user holds or owns now.
local function unitsOf(user)
  return tonumber(redis.call('HGET', buyersKey, user) or 0)
end

-- How many units the user may have at most and has now; no limit: nil.
local function allowance(user)
  local limit = saleNumber('units_per_user')
  return limit, limit and unitsOf(user)
end

-- Owed generations are kept as "1,2,": cjson cannot tell an empty list from an empty object.
local function addOwed(entry, generation)
  entry.owed = entry.owed .. whole(generation) .. ','
end

local function owedWithout(owed, generation)
  local rest = {}
  for one in string.gmatch(owed, '%d+') do
    if tonumber(one) ~= tonumber(generation) then
      rest[#rest + 1] = one .. ','
    end
  end
  return table.concat(rest)
end
