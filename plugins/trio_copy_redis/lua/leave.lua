-- 2 name
call('HDEL', k('instances'), ARGV[2])
call('SREM', k('drains'), ARGV[2])
return 1
