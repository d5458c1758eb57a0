--[[
  One of the two steps, around the registry, that open a ledger. Each may be taken again, by anybody.

  ARGV[1]  "begin": leave a token that the registry is then to hold | "finish": the registry holds a token
  ARGV[2]  a fresh token, used unless one stands here | the token that the registry holds

  Returns  {"opened", token}
           {"opening", token to register}   after "begin"
           {"lost", ""}                     after "finish": the registry's token is not the one left here
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
local free = openStock()
redis.call('XADD', eventsKey, 'MAXLEN', '~', EVENTS_MAX, '*', 'state', 'opened', 'free', whole(free))
return { 'opened', token }
