--[[
  Claim request_ids. The keys lie in slots of their own, so a Cluster takes one a call; one Redis takes many.

  KEYS     the claim of each request
  ARGV[1]  how long a new claim lives, in ms
  ARGV[2]  what each claim says if it is new, with commas between them

  Returns  for each: what stood there before, nothing where the claim is new, or the error of this one
]]
local before = {}
for value in string.gmatch(ARGV[2], '[^,]+') do
  local index = #before + 1
  before[index] = redis.pcall('SET', KEYS[index], value, 'PX', ARGV[1], 'NX', 'GET')
end
return before
