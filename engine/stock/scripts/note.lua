--[[
  Record the stock and the sale of an item as they are, for an archive that does not have them.

  Returns  1 recorded | 0 the ledger is not open
]]
if redis.call('HEXISTS', countsKey, 'opened') == 0 then
  return 0
end
addStanding('noted')
return 1
