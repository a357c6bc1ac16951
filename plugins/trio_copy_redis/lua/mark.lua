-- 4 key 5 state 6 report or nothing 7 keep ms
if fenced() then return FENCED end
local key = k('order:' .. ARGV[4])
local v = call('HMGET', key, 'state', 'sent')
if not v[1] then return redis.error_reply('UNKNOWNKEY the journal knows no intent ' .. ARGV[4]) end
if v[1] == 'ended' then return 1 end
call('HSET', key, 'state', ARGV[5], 'at', NOW)
if ARGV[6] ~= '' then call('HSET', key, 'report', ARGV[6]) end
if ARGV[5] == 'sending' and not v[2] then call('HSET', key, 'sent', NOW) end
if ARGV[5] == 'ended' then
  call('HSET', key, 'ended', NOW)
  call('ZREM', k('open'), ARGV[4])
  call('PEXPIRE', key, ARGV[7])
  local o = order(ARGV[4])
  call('PEXPIRE', k('orders:' .. cjson.decode(o[2]).task_id), ARGV[7])
  for _, id in ipairs(cjson.decode(o[3])) do call('PEXPIRE', k('orders:' .. id), ARGV[7]) end
end
return 1
