-- 4 the performance that was read 5 the one to write: nothing is written when it is another one by now
if (call('HGET', k('books'), 'perf') or '') ~= ARGV[4] then return 0 end
call('HSET', k('books'), 'perf', ARGV[5])
call('HINCRBY', k('books'), 'v', 1)
return 1
