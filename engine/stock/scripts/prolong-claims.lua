--[[
  Prolong the claims of accepted orders. Keys as in claim.lua.

  ARGV[1]  how long they live from now on, in ms

  Returns  for each: 1 prolonged | 0 no claim
]]
local kept = {}
for index, key in ipairs(KEYS) do
  kept[index] = redis.call('PEXPIRE', key, ARGV[1])
end
return kept
