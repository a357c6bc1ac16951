-- 4 which lease 5 its token 6 bell; the token stays, so that the next one is higher
if call('HGET', k(ARGV[4]), 'token') == ARGV[5] then
  call('HDEL', k(ARGV[4]), 'owner')
  call('HSET', k(ARGV[4]), 'clean', 1)
  call('PUBLISH', ARGV[6], 'shards')
end
return 1
