-- 4 the checkpoint
if fenced() then return FENCED end
call('HSET', k('shard'), 'checkpoint', ARGV[4])
return 1
