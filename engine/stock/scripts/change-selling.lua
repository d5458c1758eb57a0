#!lua flags=allow-oom
--[[
  Change the switch that stops all selling, or write again a state of it that Redis has lost.

  KEYS[1]  the switch  string, JSON

  ARGV[1]  the state, JSON
  ARGV[2]  "" for a change, or the revision of a lost state: it is not written over one that is as new

  Returns  {the state before, or ""; the state as it is now}
]]
local stored = redis.call('GET', KEYS[1]) or ''
-- A value that was written by hand counts as older than every other one. In numbers with more digits one more is lost.
local readable, known = pcall(cjson.decode, stored)
local revision = readable and type(known) == 'table' and tonumber(known.revision) or 0
if revision > 9999999999999 then
  revision = 0
end

local lost = tonumber(ARGV[2])
if lost and lost <= revision then
  return { stored, stored }
end
local state = cjson.decode(ARGV[1])
if lost then
  state.revision = lost
else
  -- By the clock, so that a change after a loss is newer than what was lost, and never below what is known.
  local now = redis.call('TIME')
  state.revision = math.max(now[1] * 1000 + math.floor(now[2] / 1000), revision + 1)
end
local changed = cjson.encode(state)
redis.call('SET', KEYS[1], changed)
return { stored, changed }
