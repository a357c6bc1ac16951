-- KEYS 1 modes. ARGV 1 channel 2 scope 3 the change. The version stands under no scope; it grows by time as well, so that
-- whoever waits hears of a change also when Redis has lost the last ones.
local time = redis.call('TIME')
local version = math.max(tonumber(redis.call('HGET', KEYS[1], '') or 0) + 1, tonumber(time[1]))
redis.call('HSET', KEYS[1], '', string.format('%.0f', version), ARGV[2], ARGV[3])
redis.call('PUBLISH', ARGV[1], 'modes')
return 1
