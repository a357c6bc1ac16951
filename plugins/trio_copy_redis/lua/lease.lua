-- 4 executor 5 owner 6 until 7 limit 8 whether to tell again what the owner holds: the tasks, and when the next one is due.
-- Who works on a task that is told again knows it.
if fenced() then return FENCED end
local q, owner, till, limit = k('queue:' .. ARGV[4]), ARGV[5], ARGV[6], tonumber(ARGV[7])
for _, id in ipairs(call('ZRANGEBYSCORE', k('due'), '-inf', NOW, 'LIMIT', 0, limit)) do
  call('ZREM', k('due'), id)
  local t = get(id)
  if t and t.s == 'queued' and t.x == '' then
    with_group(t.q)
    append(t)
  end
end
local next_due = call('ZRANGE', k('due'), 0, 0, 'WITHSCORES')[2] or ''
if call('EXISTS', q) == 0 then return {rows({}), next_due} end
local out = {}
local function take(entry, id)
  local t = get(id)
  if t and t.x == entry and t.s == 'queued' then
    lease(t, owner, till)
    out[#out + 1] = id
  elseif t and t.x == entry and t.s == 'leased' then
    call('XCLAIM', q, GROUP, t.o, 0, entry, 'JUSTID') -- handed out beside the queue; it stays where it is
  else
    call('XACK', q, GROUP, entry)
    call('XDEL', q, entry)
  end
end
if ARGV[8] == '1' then
  local mine = redis.pcall('XPENDING', q, GROUP, '-', '+', 10000, owner)
  for _, pending in ipairs(mine.err and {} or mine) do
    local entry = call('XRANGE', q, pending[1], pending[1])[1]
    local t = entry and get(entry[2][2])
    if t and t.s == 'leased' and t.o == owner then out[#out + 1] = t.id end
  end
end
local back = redis.pcall('XPENDING', q, GROUP, '-', '+', math.max(1, limit - #out), BACK)
if back.err then
  with_group(q)
  back = {}
end
for _, pending in ipairs(back) do
  local entry = call('XCLAIM', q, GROUP, owner, 0, pending[1])[1]
  if entry then take(entry[1], entry[2][2]) else call('XACK', q, GROUP, pending[1]) end
end
while #out < limit do
  local found = call('XREADGROUP', 'GROUP', GROUP, owner, 'COUNT', limit - #out, 'STREAMS', q, '>')
  if not found then break end
  for _, entry in ipairs(found[1][2]) do take(entry[1], entry[2][2]) end
end
return {rows(out), next_due}
