-- 4 key 5 order id 6 task id 7 order 8 task 9 members 10 log length, then ids of members
if fenced() then return FENCED end
local key = k('order:' .. ARGV[4])
if call('EXISTS', key) == 0 then
  call('HSET', key, 'rec', ARGV[7], 'task', ARGV[8], 'members', ARGV[9], 'of', ARGV[6], 'state', 'intent', 'at', NOW, 'frozen', NOW)
  call('ZADD', k('open'), NOW, ARGV[4])
  call('RPUSH', k('orders:' .. ARGV[6]), ARGV[4])
  for i = 11, #ARGV do call('RPUSH', k('orders:' .. ARGV[i]), ARGV[4]) end
  call('XADD', k('log'), 'MAXLEN', '~', ARGV[10], '*', 'o', ARGV[5], 'k', ARGV[4], 't', ARGV[6])
  return NOW
end
return order(ARGV[4])
