-- KEYS 1 lease. ARGV 1 token; the token stays, so that the next one is higher
if redis.call('HGET', KEYS[1], 'token') == ARGV[1] then redis.call('HDEL', KEYS[1], 'owner') end
return 1
