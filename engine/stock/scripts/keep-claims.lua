#!lua flags=allow-oom
--[[
  Keep the claims of accepted orders: make those that are missing, prolong the others, and let a mark of finish-claims.lua
  stand. The claim of another request stays as it is. Keys as in claim.lua.

  ARGV[1]  how long they live from now on, in ms
  ARGV[2]  the value of each claim, joined by commas
  ARGV[3]  the mark of a finished order

  Returns  for each: 1 kept | 0 another request has the id | the error of this claim
]]
-- Nearly all are there: one command reads them. A key of another type reads as missing, and SET then says what is wrong.
local there = redis.call('MGET', unpack(KEYS))
local kept = {}
for value in string.gmatch(ARGV[2], '[^,]+') do
  local index = #kept + 1
  local key = KEYS[index]
  local before = there[index] or redis.pcall('SET', key, value, 'PX', ARGV[1], 'NX', 'GET')
  if before == false then
    kept[index] = 1
  elseif before == value or before == value .. ARGV[3] then
    kept[index] = redis.call('PEXPIRE', key, ARGV[1])
  else
    kept[index] = type(before) == 'table' and before or 0
  end
end
return kept
