-- 2 name
if call('HEXISTS', k('instances'), ARGV[2]) == 0 then return 0 end
call('SADD', k('drains'), ARGV[2])
return 1
