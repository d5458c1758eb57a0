#!lua flags=allow-oom
--[[
  Mark the claims of orders that leave their ledger: from then on only the archive knows them. Keys as in claim.lua.

  ARGV[1]  the value of each claim, joined by commas
  ARGV[2]  the mark that is put behind it
  ARGV[3]  how long each claim lives if it is missing, in ms, joined by commas; 0: it is not needed any more

  Returns  for each: 1 marked, not needed, or another request's | the error of this claim
]]
local lives = string.gmatch(ARGV[3], '[^,]+')
local results = {}
for value in string.gmatch(ARGV[1], '[^,]+') do
  local index = #results + 1
  local key, lifeMs = KEYS[index], tonumber(lives())
  local before = redis.pcall('GET', key)
  results[index] = type(before) == 'table' and before or 1
  if before == value then
    redis.call('SET', key, value .. ARGV[2], 'KEEPTTL')
  elseif before == false and lifeMs > 0 then
    redis.call('SET', key, value .. ARGV[2], 'PX', lifeMs)
  end
end
return results
