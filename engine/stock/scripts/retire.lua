--[[
  Take a step towards the retirement of an item. May be repeated by several; each says what has to happen before the next one.
  Orders that come meanwhile go first.

  KEYS[10...15]  the other keys of the item: operations, rejections, a count of buyers, and those of a rebuild

  ARGV[1]  operator
  ARGV[2]  reason
  ARGV[3]  1 where the ledger is not registered any more: everything of the item is removed

  Returns  {"unknown-item"}
           {"on-sale"}              its sale has no end, or not yet
           {"under-way", units}     held, queued or reserved
           {"entries", orders}      they have to leave the ledger
           {"changes", number}      of stock or sale that are not archived, the retirement among them
           {"ready"}                the ledger may be taken out of the registry
           {"retired"}
]]
local by, why, isRemoved = ARGV[1], ARGV[2], ARGV[3] == '1'
if redis.call('EXISTS', freeKey) == 0 and redis.call('EXISTS', countsKey) == 0 then
  return { 'unknown-item' }
end
openStock()
local closesAt = saleNumber('closes_at')
if not closesAt or closesAt > nowMs() then
  return { 'on-sale' }
end
local counts = redis.call('HMGET', countsKey, 'held', 'queued', 'reserved')
local underWay = tonumber(counts[1] or 0) + tonumber(counts[2] or 0) + tonumber(counts[3] or 0)
if underWay > 0 then
  return { 'under-way', underWay }
end
local entries = redis.call('HLEN', ordersKey)
if entries > 0 then
  -- What leaves after the retirement would belong to the item's next life.
  redis.call('HDEL', countsKey, 'retired')
  return { 'entries', entries }
end
if not redis.call('HGET', countsKey, 'retired') then
  addAdjustment('retired', 'by', by, 'why', why)
  redis.call('HSET', countsKey, 'retired', 1)
end
local changes = redis.call('XLEN', adjustmentsKey)
if changes > 0 then
  return { 'changes', changes }
end
if not isRemoved then
  return { 'ready' }
end
redis.call('UNLINK', unpack(KEYS))
return { 'retired' }
