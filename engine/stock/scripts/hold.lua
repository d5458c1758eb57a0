--[[
  Hold units for up to a thousand attempts, in their order, each under its own lease. The attempts share what all of them
  read, and new holds are written together at the end.

  ARGV[1]  lease in ms
  ARGV[2]  price in minor units, where the sale has none
  ARGV[3]  currency, where the sale has none
  ARGV[4]  the attempts, joined by commas: "<request_id> <user_id> <units> <fingerprint> <token of the attempt>".
           None of these has a space or a comma. One argument costs the client less than a hundred. Behind the units there
           is a "p" where the purchase names what its buyer pays with.

  Returns  for each attempt one of
           "held <accepted_at> <price> <currency>"   one text, which is cheaper to read than a list: most results are held.
                                                      The order id is the token of the attempt; where it is not, it is a
                                                      fourth word, and "-" for an entry that is older than order ids
           "held <accepted_at> <price> <currency> <order id> <ms to pay>"   the same where the buyer pays; "=" for an order id
                                                      that is the token
           {"in-progress", ms until the other attempt's lease ends}
           {"exists", entry}
           {"mismatch"}
           {"sold-out", 1 when every unit is sold, else 0, 1 when the stock key has vanished, else 0}
           {"limit", units per user, units the user has, 1 when none of these can come back from checkout, else 0}
           {"closed", "not-open" | "over", the time in ms}
           {"payment-named"}     buyers of this sale pay themselves
           {"unopened", 1 when there is a stock key, else 0}   never opened, or lost: the registry knows which
           {"error", message}   the error of this attempt alone
]]
-- This price times the largest amount is still an integer that every part represents exactly.
local PRICE_MAX = 9007199254740
-- As in sale.ts.
local PAY_WITHIN_MIN, PAY_WITHIN_MAX = 5000, 43200000

local leaseMs, defaultPrice, defaultCurrency = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local now = nowMs()
local leaseUntil = now + leaseMs

-- A sale that no record of an order may contain is refused here, before an order is accepted.
local function badSale(problem)
  error({ err = 'BADSALE ' .. saleKey .. ' ' .. problem })
end

local function readSale()
  local raw = redis.call('HMGET', saleKey, 'opens_at', 'closes_at', 'price', 'currency', 'units_per_user',
    'pay_within')
  local sale = {
    opensAt = parseSaleNumber('opens_at', raw[1]), closesAt = parseSaleNumber('closes_at', raw[2]),
    price = parseSaleNumber('price', raw[3]) or defaultPrice, currency = raw[4] or defaultCurrency,
    limit = raw[5], payWithin = parseSaleNumber('pay_within', raw[6]),
  }
  if sale.opensAt and sale.closesAt and sale.closesAt <= sale.opensAt then
    badSale('closes_at must be later than opens_at')
  end
  if sale.price < 1 or sale.price > PRICE_MAX then
    badSale('price must be from 1 to ' .. whole(PRICE_MAX) .. ', not ' .. whole(sale.price))
  end
  if not string.find(sale.currency, '^%u%u%u$') then
    badSale('currency must be three capital letters, not ' .. string.sub(sale.currency, 1, 40))
  end
  if sale.payWithin and (sale.payWithin < PAY_WITHIN_MIN or sale.payWithin > PAY_WITHIN_MAX) then
    badSale('pay_within must be from ' .. PAY_WITHIN_MIN .. ' to ' .. PAY_WITHIN_MAX .. ' ms, not ' .. whole(sale.payWithin))
  end
  return sale
end

-- Read by the first attempt that needs them. New holds of this call reduce `free` here, which is written once at the end.
local sale, free, hasKey, opened
local heldUnits = 0
-- A thousand leases take about 15 ms.
local limitPagesLeft = 50

-- Entries as stored before this call, by request_id. New holds of this call are in `held`.
local stored = {}
-- New holds of this call: entries by request_id, units by user, and the arguments that write them.
local held, bought, entriesToWrite, leasesToWrite = {}, {}, {}, {}
local heldChanges = {}
-- The result of every new hold: all have the same time, price and time to pay.
local newlyHeld

local function ownedBy(user)
  return unitsOf(user) + (bought[user] or 0)
end

local function heldResult(entry, token)
  local text = 'held ' .. whole(entry.accepted_at) .. ' ' .. whole(entry.price) .. ' ' .. entry.currency
  local orderId = entry.order_id == token and '=' or entry.order_id or '-'
  if entry.pay_within then
    return text .. ' ' .. orderId .. ' ' .. whole(entry.pay_within)
  end
  return orderId == '=' and text or text .. ' ' .. orderId
end

local function addHeldEvents()
  if #heldChanges > 0 then
    addEvents('held', heldChanges)
    heldChanges = {}
  end
end

-- The events of earlier holds of this call come before those of the reclaimed ones.
local function reclaimUnits(units)
  addHeldEvents()
  return reclaim(free, units, now, stored)
end

-- New holds of this call are not in the counts yet.
local function unitsInCheckout()
  local open = redis.call('HMGET', countsKey, 'held', 'queued', 'reserved')
  return heldUnits + tonumber(open[1] or 0) + tonumber(open[2] or 0) + tonumber(open[3] or 0)
end

-- Reclaims until the user owns no more units than this, or no lease is over: a dead attempt of the user may lie behind any
-- number of others. With more than this call reclaims, the limit is not known yet, and the buyer has to ask again.
local function reclaimForLimit(user, ownedMax)
  addHeldEvents()
  local more = true
  while more and ownedBy(user) > ownedMax do
    if limitPagesLeft == 0 then
      error({ err = 'RECLAIMING too many leases of ' .. freeKey .. ' are over for one call' })
    end
    limitPagesLeft = limitPagesLeft - 1
    free, more = reclaimPage(free, math.huge, now, stored)
  end
end

local function holdOne(requestId, user, units, fingerprint, token, namesPayment)
  local raw = stored[requestId]
  local entry = held[requestId] or (raw and cjson.decode(raw))
  if entry then
    if entry.fingerprint ~= fingerprint then
      return { 'mismatch' }
    end
    if entry.state ~= 'held' then
      return { 'exists', raw }
    end
    -- With the attempt's own token the command was sent twice, because its reply was lost.
    if entry.lease_until > now and entry.token ~= token then
      return { 'in-progress', entry.lease_until - now }
    end
    entry.token = token
    entry.lease_until = leaseUntil
    -- Written at once: a later attempt of this call may look for leases that are over.
    stored[requestId] = writeEntry(requestId, entry)
    redis.call('ZADD', leasesKey, whole(leaseUntil), requestId)
    return heldResult(entry, token)
  end

  sale = sale or readSale()
  if free == nil then
    free, hasKey, opened = openStock()
  end
  if not opened then
    return { 'unopened', hasKey and 1 or 0 }
  end
  if sale.opensAt and now < sale.opensAt then
    return { 'closed', 'not-open', sale.opensAt }
  end
  if sale.closesAt and now >= sale.closesAt then
    return { 'closed', 'over', sale.closesAt }
  end
  if sale.payWithin and namesPayment then
    return { 'payment-named' }
  end

  local limit = parseSaleNumber('units_per_user', sale.limit)
  -- A dead attempt of this user counts against the limit until it is reclaimed, so reclaim and look again.
  if limit and ownedBy(user) + units > limit then
    reclaimForLimit(user, limit - units)
    local owned = ownedBy(user)
    if owned + units > limit then
      -- Nobody keeps the states of a user's units: while others are in checkout, the user's may be as well.
      return { 'limit', limit, owned, (units > limit or unitsInCheckout() == 0) and 1 or 0 }
    end
  end
  if free < units then
    free = reclaimUnits(units)
  end
  if free < units then
    return { 'sold-out', (hasKey and free + unitsInCheckout() == 0) and 1 or 0, hasKey and 0 or 1 }
  end

  entry = {
    order_id = token, units = units, user = user, fingerprint = fingerprint, token = token, lease_until = leaseUntil,
    generation = 0, fence = 0, owed = '', accepted_at = now,
    price = sale.price, currency = sale.currency, pay_within = sale.payWithin,
  }
  enter(entry, 'held', now)
  free = free - units
  heldUnits = heldUnits + units
  held[requestId] = entry
  bought[user] = (bought[user] or 0) + units
  entriesToWrite[#entriesToWrite + 1] = requestId
  entriesToWrite[#entriesToWrite + 1] = cjson.encode(entry)
  leasesToWrite[#leasesToWrite + 1] = leaseUntil
  leasesToWrite[#leasesToWrite + 1] = requestId
  heldChanges[#heldChanges + 1] = changeOf(requestId, entry, free)
  newlyHeld = newlyHeld or heldResult(entry, token)
  return newlyHeld
end

local attempts, requestIds = {}, {}
local PATTERN = '([^ ,]+) ([^ ]+) (%d+)(p?) ([^ ]+) ([^,]+)'
for requestId, user, units, payment, fingerprint, token in string.gmatch(ARGV[4], PATTERN) do
  attempts[#attempts + 1] = { requestId, user, tonumber(units), fingerprint, token, payment == 'p' }
  requestIds[#requestIds + 1] = requestId
end
for index, raw in ipairs(readRawEntries(requestIds)) do
  stored[requestIds[index]] = raw
end

local results = {}
for _, attempt in ipairs(attempts) do
  local ok, result = pcall(holdOne, unpack(attempt))
  results[#results + 1] = ok and result or { 'error', type(result) == 'table' and result.err or tostring(result) }
end

local function addBuyers()
  local users, owned = {}, {}
  for user in pairs(bought) do
    users[#users + 1] = user
  end
  for index, units in ipairs(redis.call('HMGET', buyersKey, unpack(users))) do
    owned[#owned + 1] = users[index]
    owned[#owned + 1] = tonumber(units or 0) + bought[users[index]]
  end
  redis.call('HSET', buyersKey, unpack(owned))
end

if heldUnits > 0 then
  redis.call('HSET', ordersKey, unpack(entriesToWrite))
  redis.call('ZADD', leasesKey, unpack(leasesToWrite))
  addBuyers()
  writeFree(free)
  addCount('held', heldUnits)
  addHeldEvents()
  trimEvents()
end
return results
