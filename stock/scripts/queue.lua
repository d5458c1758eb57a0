--[[
  The records of these orders are acknowledged: held becomes queued, which never expires.
  The arguments are the request_ids, any number of them.

  Returns  for each request_id: 1 queued or further | 0 no entry
]]
requireLedger()
local now = nowMs()
local free
local answers = {}
local queuedUnits = 0
for index, requestId in ipairs(ARGV) do
  local entry = readEntry(requestId)
  if entry and entry.state == 'held' then
    free = free or openStock()
    forgetHold(requestId, entry)
    enter(entry, 'queued', now)
    writeEntry(requestId, entry)
    queuedUnits = queuedUnits + entry.units
    addEvent(requestId, entry, 'queued', free)
  end
  answers[index] = entry and 1 or 0
end
if queuedUnits > 0 then
  addCount('held', -queuedUnits)
  addCount('queued', queuedUnits)
end
return answers
