--[[
  Read an item's stock in one instant. Writes nothing: a change from outside is counted, and recorded by the next script.
  An item whose stock key has vanished from an open ledger has no free units.

  Returns  {free, held, queued, reserved, sold, supply, sale as a flat list} | nothing for an unknown item
]]
local raw = redis.call('GET', freeKey)
if not raw and redis.call('HEXISTS', countsKey, 'opened') == 0 then
  return false
end
local free = wholeUnits(raw or '0')
for _, field in ipairs({ 'price', 'units_per_user', 'opens_at', 'closes_at', 'pay_within' }) do
  saleNumber(field)
end
local counts = redis.call('HMGET', countsKey, 'held', 'queued', 'reserved', 'sold')
local result = { free }
local supply = free
for index = 1, 4 do
  result[index + 1] = tonumber(counts[index] or 0)
  supply = supply + result[index + 1]
end
result[6] = supply
result[7] = redis.call('HGETALL', saleKey)
return result
