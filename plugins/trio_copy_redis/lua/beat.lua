-- KEYS 1 instances. ARGV 1 name 2 what it says of itself: tells whether it was unknown, and whether it shall drain, which
-- stands behind a NUL. All in one key, so that heartbeats are carried out also while its slot is on its way elsewhere.
return {redis.call('HSET', KEYS[1], ARGV[1], ARGV[2]), redis.call('HEXISTS', KEYS[1], '\0' .. ARGV[1])}
