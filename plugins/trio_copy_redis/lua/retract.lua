-- 4 signal 5 block 6 credit ms
if fenced() then return FENCED end
local as = call('HGET', k('signal:' .. ARGV[4]), 'as')
if not as then return nil end
local s = k('signal:' .. as)
local v = call('HMGET', s, 'ret', 'ck')
if v[1] ~= '0' then return nil end
if call('HDEL', s, 'B' .. ARGV[5]) == 1 then call('HINCRBY', s, 'nb', -1) end
if tonumber(call('HGET', s, 'nb')) > 0 then return nil end
call('HSET', s, 'ret', 1)
if v[2] and v[2] ~= '' then
  call('ZADD', k('credits:' .. v[2]), string.format('%.3f', now + ARGV[6] / 1000), as)
  call('PEXPIRE', k('credits:' .. v[2]), ARGV[6])
end
local held, given_out = 0, 0
for _, id in ipairs(call('SMEMBERS', k('of:' .. as))) do
  local t = get(id)
  if t and (t.s == 'queued' or t.s == 'waiting') and t.a == '0' then
    unlink(t)
    unindex(t)
    hold(t)
    held = held + 1
  elseif t and (t.s == 'leased' or t.s == 'queued') then
    given_out = given_out + 1
  end
end
return {as, held, given_out}
