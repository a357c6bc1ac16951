-- 4 executor 5 owner 6 until 7 limit
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
if call('EXISTS', q) == 0 then return nil end
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
local back = redis.pcall('XPENDING', q, GROUP, '-', '+', limit, BACK)
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
if #out == 0 then return nil end
return rows(out)
