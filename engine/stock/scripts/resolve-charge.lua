#!lua flags=allow-oom
--[[
  Strike a generation from the unresolved charges: its money was refunded, or was never taken.

  ARGV[1]  request_id
  ARGV[2]  generation
  ARGV[3]  order id, or - for none

  Returns  "settled" (also where the entry is another order's) | "kept" (it is the reserved or the sold generation)
]]
local requestId, generation = ARGV[1], tonumber(ARGV[2])
requireLedger()
local entry = readEntry(requestId)
if not entry or not isOrder(entry, ARGV[3]) then
  return 'settled'
end
if entry.generation == generation and (entry.state == 'reserved' or entry.state == 'sold') then
  return 'kept'
end
entry.owed = withoutCharge(entry.owed, generation)
writeEntry(requestId, entry)
return 'settled'
