--[[
  Write entries into a lost ledger before it is opened as it stands. The counts follow from the entries when it is opened, and
  the free units stay.

  ARGV     the orders, some hundreds: a request_id and its entry each

  Returns  "written" | "open" (the ledger is not lost: nothing was written)
]]
if redis.call('HEXISTS', countsKey, 'opened') == 1 then
  return 'open'
end
for index = 1, #ARGV, 2 do
  redis.call('HSET', ordersKey, ARGV[index], ARGV[index + 1])
end
return 'written'
