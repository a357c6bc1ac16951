-- 2 bell 3 scope 4 the change
call('HSET', k('modes'), ARGV[3], ARGV[4])
local v = call('INCR', k('modes:v'))
call('PUBLISH', ARGV[2], 'modes')
return v
