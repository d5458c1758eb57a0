--[[
  One of the two steps that open a ledger, before and after the registry. Any caller may take each again.

  ARGV[1]  "begin": leave a token for the registry | "finish": the registry has a token
  ARGV[2]  a fresh token, used unless the ledger has one | the token of the registry
  ARGV[3]  1 for an item that was on sale before and was retired; only for "finish"

  Returns  {"opened", token}
           {"opening", token to register}   after "begin"
           {"lost", ""}                     after "finish": the ledger has not the registry's token
]]
local step, token = ARGV[1], ARGV[2]
local opened = redis.call('HGET', countsKey, 'opened')
if opened then
  return { 'opened', opened }
end
if step == 'begin' then
  redis.call('HSETNX', countsKey, 'opening', token)
  return { 'opening', redis.call('HGET', countsKey, 'opening') }
end
if redis.call('HGET', countsKey, 'opening') ~= token then
  return { 'lost', '' }
end
redis.call('HSET', countsKey, 'opened', token)
redis.call('HDEL', countsKey, 'opening')
if ARGV[3] == '1' then
  -- The orders of its earlier life are in the archive.
  redis.call('HSET', countsKey, 'archived_until', archivedUntilNow())
end
openStock()
addAdjustment('opened')
return { 'opened', token }
