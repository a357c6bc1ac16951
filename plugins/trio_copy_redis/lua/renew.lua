-- KEYS 1 lease. ARGV 1 token 2 now 3 for how long 4 until when by the owner's clock
local was = redis.call('HMGET', KEYS[1], 'owner', 'token', 'until')
if not was[1] or was[2] ~= ARGV[1] or tonumber(was[3]) <= tonumber(ARGV[2]) then
  return redis.error_reply('FENCED the lease is held no more')
end
local till = string.format('%.6f', tonumber(ARGV[2]) + tonumber(ARGV[3]))
redis.call('HSET', KEYS[1], 'until', till, 'told', ARGV[4])
return 1
