--[[
  Claim request_ids. The keys lie in slots of their own, so a Cluster takes one a call; one Redis takes many.

  KEYS     the claim of each request
  ARGV[1]  how long a new claim lives, in ms
  The rest are what each claim says if it is new.

  Returns  for each: what stood there before, nothing where the claim is new, or the error of this one
]]
local before = {}
for index, key in ipairs(KEYS) do
  before[index] = redis.pcall('SET', key, ARGV[index + 1], 'PX', ARGV[1], 'NX', 'GET')
end
return before
