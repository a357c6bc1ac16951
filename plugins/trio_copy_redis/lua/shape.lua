-- 2 how many shards: sets it the first time, and tells what it is
call('HSETNX', k('shape'), 'shards', ARGV[2])
return call('HGET', k('shape'), 'shards')
