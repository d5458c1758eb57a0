#!lua flags=allow-oom
--[[
  Note refunds of a sale, and disputes about it, in its entry. They may come late and in any order: of each, the status that
  comes last in its life stays.

  ARGV[1]  request_id
  ARGV[2]  order id
  ARGV[3]  list of what is known of them, JSON

  Returns  1 noted | 0 there is no entry of this sale
]]
local RANKS = { pending = 0, open = 0, succeeded = 1, won = 1, failed = 2, lost = 2 }
local requestId = ARGV[1]
requireLedger()
local entry = readEntry(requestId)
if not entry or not isOrder(entry, ARGV[2]) or entry.state ~= 'sold' then
  return 0
end
local known = entry.returns or {}
for _, one in ipairs(cjson.decode(ARGV[3])) do
  local place = #known + 1
  for index, other in ipairs(known) do
    if other.kind == one.kind and other.id == one.id then
      place = index
    end
  end
  if not known[place] or RANKS[one.status] > RANKS[known[place].status] then
    known[place] = one
  end
end
entry.returns = #known > 0 and known or nil
writeEntry(requestId, entry)
return 1
