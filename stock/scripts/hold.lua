--[[
  Hold units for one attempt of a request, under a lease.

  ARGV[1]  request_id
  ARGV[2]  user_id
  ARGV[3]  units
  ARGV[4]  fingerprint
  ARGV[5]  token of the attempt
  ARGV[6]  lease in ms
  ARGV[7]  price in minor units, where the sale names none
  ARGV[8]  currency, where the sale names none

  Returns  {"held", accepted_at, price, currency}
           {"in-progress", ms until the other attempt's lease ends}
           {"exists", entry}
           {"mismatch"}
           {"sold-out", 1 when every unit is sold, else 0}
           {"limit", units per user, units the user has}
           {"closed", "not-open" | "over", the time in ms}
           {"unknown-item"}
           {"unopened", 1 when the item is known, else 0}   never opened, or lost: only the registry can tell
]]
-- A price times the largest amount is still a number that every part counts exactly.
local PRICE_MAX = 9007199254740

local requestId, user, units, fingerprint, token = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5]
local now = nowMs()
local leaseUntil = now + tonumber(ARGV[6])

local entry, raw = readEntry(requestId)
if entry then
  if entry.fingerprint ~= fingerprint then
    return { 'mismatch' }
  end
  if entry.state ~= 'held' then
    return { 'exists', raw }
  end
  -- The attempt's own token: its answer was lost and the command came twice.
  if entry.lease_until > now and entry.token ~= token then
    return { 'in-progress', entry.lease_until - now }
  end
  entry.token = token
  entry.lease_until = leaseUntil
  writeEntry(requestId, entry)
  redis.call('ZADD', leasesKey, whole(leaseUntil), requestId)
  return { 'held', entry.accepted_at, entry.price, entry.currency }
end

-- What no record of an order may say would be found out only after the order was accepted.
local function badSale(fault)
  error({ err = 'BADSALE ' .. saleKey .. ' ' .. fault })
end
local opensAt, closesAt = saleNumber('opens_at'), saleNumber('closes_at')
if opensAt and closesAt and closesAt <= opensAt then
  badSale('closes_at must be later than opens_at')
end
local price = saleNumber('price') or tonumber(ARGV[7])
if price < 1 or price > PRICE_MAX then
  badSale('price must be from 1 to ' .. whole(PRICE_MAX) .. ', not ' .. whole(price))
end
local currency = redis.call('HGET', saleKey, 'currency') or ARGV[8]
if not string.find(currency, '^%u%u%u$') then
  badSale('currency must be three capital letters, not ' .. string.sub(currency, 1, 40))
end

local free, known, opened = openStock()
if not opened then
  return { 'unopened', known and 1 or 0 }
end
if not known then
  return { 'unknown-item' }
end
if opensAt and now < opensAt then
  return { 'closed', 'not-open', opensAt }
end
if closesAt and now >= closesAt then
  return { 'closed', 'over', closesAt }
end

local limit, owned = allowance(user)
-- A dead attempt of this user counts against the limit until it is reclaimed, so look once more.
if limit and owned + units > limit then
  free = reclaim(free, math.huge, now)
  limit, owned = allowance(user)
  if owned + units > limit then
    return { 'limit', limit, owned }
  end
end
if free < units then
  free = reclaim(free, units, now)
end
if free < units then
  local open = redis.call('HMGET', countsKey, 'held', 'queued', 'reserved')
  local returnable = free + tonumber(open[1] or 0) + tonumber(open[2] or 0) + tonumber(open[3] or 0)
  return { 'sold-out', returnable == 0 and 1 or 0 }
end

entry = {
  units = units, user = user, fingerprint = fingerprint, token = token, lease_until = leaseUntil,
  generation = 0, fence = 0, owed = '', accepted_at = now,
  price = price, currency = currency,
}
enter(entry, 'held', now)
writeEntry(requestId, entry)
redis.call('ZADD', leasesKey, whole(leaseUntil), requestId)
writeFree(free - units)
addCount('held', units)
addBuyer(user, units)
addEvent(requestId, entry, 'held', free - units)
return { 'held', now, entry.price, entry.currency }
