--[[
  Put more units of an item on sale, or say how many are free: once for each operation, however often it is sent.
  An item that is not known yet is on sale from then on.

  KEYS[8]  operations that were carried out  hash    JSON

  ARGV[1]  operation id
  ARGV[2]  "add" | "set"
  ARGV[3]  units to add, or the free units from now on
  ARGV[4]  operator
  ARGV[5]  how long operations are remembered, in ms

  Returns  {"restocked", free units before, free units after, 1 for a new item else 0, 1 when done before else 0}
           {"operation-reused"} (the id has asked for something else)
           {"too-many"}
]]
local operationsKey = KEYS[8]
local operation, mode, units, by, rememberMs = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5]
-- What the free-units key can hold and every script can read.
local FREE_MAX = 999999999999999

local done = redis.call('HGET', operationsKey, operation)
if done then
  local known = cjson.decode(done)
  if known.mode ~= mode or known.units ~= units then
    return { 'operation-reused' }
  end
  return { 'restocked', known.before, known.after, known.new, 1 }
end

local opened, before, known = true, nil, nil
if mode == 'set' then
  -- To set the units is how a key is mended that holds no number; nobody can add to it.
  opened, before, known = pcall(openStock)
else
  before, known = openStock()
end
if not opened then
  before, known = tonumber(redis.call('HGET', countsKey, 'free') or 0), true
end
local after = mode == 'set' and units or before + units
if after > FREE_MAX then
  return { 'too-many' }
end

local new = known and 0 or 1
redis.call('HSET', operationsKey, operation,
  cjson.encode({ mode = mode, units = units, before = before, after = after, new = new }))
redis.call('PEXPIRE', operationsKey, rememberMs)
redis.call('HINCRBY', countsKey, 'supply', whole(after - before))
writeFree(after)
redis.call('XADD', eventsKey, 'MAXLEN', '~', EVENTS_MAX, '*', 'state', 'adjusted',
  'units', whole(after - before), 'free', whole(after), 'by', by, 'operation', operation)
return { 'restocked', before, after, new, 0 }
