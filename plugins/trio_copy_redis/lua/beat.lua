-- 2 name 3 what it says of itself: tells whether it shall drain
call('HSET', k('instances'), ARGV[2], ARGV[3])
return call('SISMEMBER', k('drains'), ARGV[2])
