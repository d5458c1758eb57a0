--[[
  Correct counts that were compared with the entries, some hundreds a call, unless the item has changed since. The free
  units do not follow from entries: they stay, and the supply follows from both. A lease follows from its entry.
  After these arguments come the corrections, any number of them: a field and its number each. A field is a state, "supply",
  "buyer <user>" or "lease <request_id>". The units of archived orders are part of "sold".

  KEYS[10]  entries that a rebuild has staged         hash
  KEYS[11]  their units by state                      hash
  KEYS[12]  their units by user                       hash

  ARGV[1]  id of the item's newest event at the comparison, or "" for none
  ARGV[2]  "mend" | "accept": open a ledger that is not open, and drop what a rebuild has staged
  ARGV[3]  token of the registry, for "accept"
  ARGV[4]  operator
  ARGV[5]  why

  Returns  1 corrected | 0 the item has changed since
]]
local comparedAt, mode, token, by, why = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local newest = redis.call('XREVRANGE', eventsKey, '+', '-', 'COUNT', 1)[1]
if (newest and newest[1] or '') ~= comparedAt then
  return 0
end
local free = openStock()
for index = 6, #ARGV, 2 do
  local field, number = ARGV[index], tonumber(ARGV[index + 1])
  local kind, name = string.match(field, '^(%S+) (.+)$')
  if kind == 'buyer' and number > 0 then
    redis.call('HSET', buyersKey, name, whole(number))
  elseif kind == 'buyer' then
    redis.call('HDEL', buyersKey, name)
  elseif kind == 'lease' then
    local entry = readEntry(name)
    if entry and entry.state == 'held' then
      redis.call('ZADD', leasesKey, whole(entry.lease_until), name)
    else
      redis.call('ZREM', leasesKey, name)
    end
  elseif field ~= 'supply' then
    redis.call('HSET', countsKey, field, whole(number))
  end
end
local total = 0
for _, units in ipairs(redis.call('HMGET', countsKey, 'held', 'queued', 'reserved', 'sold')) do
  total = total + tonumber(units or 0)
end
redis.call('HSET', countsKey, 'supply', whole(free + total))
if mode == 'accept' then
  redis.call('HSET', countsKey, 'opened', token, 'archived_until', archivedUntilNow())
  redis.call('HDEL', countsKey, 'opening')
  redis.call('UNLINK', KEYS[10], KEYS[11], KEYS[12])
end
addAdjustment(mode == 'accept' and 'accepted' or 'recounted', 'by', by, 'why', why)
return 1
