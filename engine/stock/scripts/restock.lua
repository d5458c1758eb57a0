--[[
  Add units to an item, or set its free units: once for each operation id, however often it is sent. An unknown item is on
  sale from then on.

  KEYS[10]  completed operations by id  hash, JSON

  ARGV[1]  operation id
  ARGV[2]  "add" | "set"
  ARGV[3]  units to add, or the free units to set
  ARGV[4]  operator
  ARGV[5]  how long operations are remembered, in ms
  ARGV[6]  the free units that the operator has seen, or "" for any number

  Returns  {"restocked", free units before, free units after, 1 for a new item else 0, 1 when done before else 0,
           supply after, or -1 for an operation that was remembered without it}
           {"stale", free units}      not the number that the operator has seen
           {"operation-reused"}       the id was used for another restock
           {"too-many"}
]]
local operationsKey = KEYS[10]
local operation, mode, units, by, rememberMs = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5]
local seen = tonumber(ARGV[6])
-- The largest number that every script accepts in the free-units key.
local FREE_MAX = 999999999999999

local done = redis.call('HGET', operationsKey, operation)
if done then
  local known = cjson.decode(done)
  if known.mode ~= mode or known.units ~= units then
    return { 'operation-reused' }
  end
  return { 'restocked', known.before, known.after, known.new, 1, known.supply or -1 }
end

local readable, before, hasKey, opened = true, nil, nil, nil
if mode == 'set' and not seen then
  -- Setting the units is the way to mend a key that is not a number; adding to such a key is an error.
  readable, before, hasKey, opened = pcall(openStock)
else
  before, hasKey, opened = openStock()
end
if not readable then
  before, hasKey = tonumber(redis.call('HGET', countsKey, 'free') or 0), true
end
if seen and before ~= seen then
  return { 'stale', before }
end
local after = mode == 'set' and units or before + units
if after > FREE_MAX then
  return { 'too-many' }
end

local new = (hasKey or opened) and 0 or 1
local supply = redis.call('HINCRBY', countsKey, 'supply', whole(after - before))
redis.call('HSET', operationsKey, operation,
  cjson.encode({ mode = mode, units = units, before = before, after = after, new = new, supply = supply }))
redis.call('PEXPIRE', operationsKey, rememberMs)
writeFree(after)
addAdjustment('adjusted', 'units', whole(after - before), 'by', by, 'operation', operation)
return { 'restocked', before, after, new, 0, supply }
