-- KEYS 1 instances. ARGV 1 name
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], '\0' .. ARGV[1], '')
return 1
