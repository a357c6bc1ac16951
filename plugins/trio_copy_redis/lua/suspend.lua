-- 4 task 5 owner: held when a reorg took its signal back, given out before or not
if fenced() then return FENCED end
local t = get(ARGV[4])
if t and t.s == 'held' then return 1 end -- our own call, whose answer was lost
if not t or t.s ~= 'leased' or t.o ~= ARGV[5] then return NOT_YOURS end
if call('HGET', k('signal:' .. t.g), 'ret') ~= '1' then return 0 end
call('HDEL', t.key, 'o')
unlink(t)
hold(t)
return 1
