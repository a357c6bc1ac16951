-- KEYS 1 layout 2 what an earlier version began with. ARGV 1 layout 2 how many shards 3 whether to begin: tells layout and
-- shards, or that there is older data
if redis.call('EXISTS', KEYS[2]) == 1 then return {'old', 0} end
if ARGV[3] == '1' and redis.call('EXISTS', KEYS[1]) == 0 then redis.call('HSET', KEYS[1], 'layout', ARGV[1], 'shards', ARGV[2]) end
local is = redis.call('HMGET', KEYS[1], 'layout', 'shards')
return {is[1] or ARGV[1], is[2] or ARGV[2]}
