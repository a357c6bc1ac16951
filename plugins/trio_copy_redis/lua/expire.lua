-- 4 deliveries at most 5 bell 6 the moment that counts: leases that ran out go back; what waited in vain is told, and ended by its teller
if fenced() then return FENCED end
local moment = tonumber(ARGV[6])
local back = 0
for _, e in ipairs(call('SMEMBERS', k('executors'))) do
  local q, from = k('queue:' .. e), '-'
  while call('EXISTS', q) == 1 do
    local pending = redis.pcall('XPENDING', q, GROUP, from, '+', 200)
    if pending.err or #pending == 0 then break end
    for _, p in ipairs(pending) do
      from = '(' .. p[1]
      if p[2] ~= BACK then
        local entry = call('XRANGE', q, p[1], p[1])[1]
        local t = entry and get(entry[2][2])
        if t and t.x == p[1] and t.s == 'leased' then
          if tonumber(t.u) <= moment then
            give_up(t, tonumber(ARGV[4]))
            back = back + 1
          end
        else
          call('XACK', q, GROUP, p[1])
          call('XDEL', q, p[1])
        end
      end
    end
  end
end
-- Every task that is queued or leased has an entry, unless somebody deleted a stream: the rows are the truth, and are told
-- the streams again.
local c = call('HMGET', k('count'), 'queued', 'leased')
local entries = call('ZCARD', k('due'))
for _, e in ipairs(call('SMEMBERS', k('executors'))) do entries = entries + call('XLEN', k('queue:' .. e)) end
if entries < tonumber(c[1] or 0) + tonumber(c[2] or 0) then
  for _, entry in ipairs(call('XRANGE', k('history'), '-', '+')) do
    local t = get(entry[2][2])
    if t and t.x ~= '' and (t.s == 'queued' or t.s == 'leased') and #call('XRANGE', t.q, t.x, t.x) == 0 then
      with_group(t.q)
      append(t)
      if t.s == 'leased' then hand(t, t.o) end
      back = back + 1
    end
  end
end
if back > 0 or #call('ZRANGEBYSCORE', k('due'), '-inf', NOW, 'LIMIT', 0, 1) > 0 then call('PUBLISH', ARGV[5], P) end
return {rows(call('ZRANGEBYSCORE', k('held'), '-inf', ARGV[6], 'LIMIT', 0, 500)),
        rows(call('ZRANGEBYSCORE', k('waiting'), '-inf', ARGV[6], 'LIMIT', 0, 500))}
