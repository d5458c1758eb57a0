--[[
  Drop the claims of rejected requests. A claim that lives longer than an undecided one belongs to an order that was accepted
  since, by another attempt of the same request: it stays. Keys as in claim.lua.

  ARGV[1]  how long the claim of an undecided request lives, in ms
  ARGV[2]  the value of each claim, joined by commas

  Returns  how many were dropped
]]
local index, dropped = 0, 0
for value in string.gmatch(ARGV[2], '[^,]+') do
  index = index + 1
  local key = KEYS[index]
  if redis.call('GET', key) == value and redis.call('PTTL', key) <= tonumber(ARGV[1]) then
    dropped = dropped + redis.call('DEL', key)
  end
end
return dropped
