--[[
  Claim request_ids. Each key lies in its own slot, so a Cluster takes one key a call; a single Redis takes many.

  KEYS     the claim of each request
  ARGV[1]  how long a new claim lives, in ms
  ARGV[2]  the value of each claim if it is new, joined by commas

  Returns  for each: the value before, nothing where the claim is new, or the error of this claim
]]
local before = {}
for value in string.gmatch(ARGV[2], '[^,]+') do
  local index = #before + 1
  before[index] = redis.pcall('SET', KEYS[index], value, 'PX', ARGV[1], 'NX', 'GET')
end
return before
