--[[
  Keep the claims of orders that are accepted. Keys as in claim.lua.

  ARGV[1]  how long they live from now on, in ms

  Returns  for each: 1 kept | 0 there is none
]]
local kept = {}
for index, key in ipairs(KEYS) do
  kept[index] = redis.call('PEXPIRE', key, ARGV[1])
end
return kept
