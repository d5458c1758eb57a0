--[[
  Read an item's stock in one instant; writes nothing, so an outside change is counted but not recorded yet.

  Returns  {free, held, queued, reserved, sold, supply, sale as a flat list} | nothing for an unknown item
]]
local raw = redis.call('GET', freeKey)
if not raw then
  return false
end
local free = wholeUnits(raw)
for _, field in ipairs({ 'price', 'units_per_user', 'opens_at', 'closes_at' }) do
  saleNumber(field)
end
local counts = redis.call('HMGET', countsKey, 'held', 'queued', 'reserved', 'sold')
local answer = { free }
local supply = free
for index = 1, 4 do
  answer[index + 1] = tonumber(counts[index] or 0)
  supply = supply + answer[index + 1]
end
answer[6] = supply
answer[7] = redis.call('HGETALL', saleKey)
return answer
