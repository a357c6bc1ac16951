-- KEYS 1 shard 2 heads 3 its own documents. ARGV 1 token
if fenced(ARGV[1]) then return FENCED end
local time = call('TIME')
local epoch = time[1] .. string.format('%06d', time[2])
call('HSET', KEYS[1], 't', ARGV[1], 'n', 0, 'e', epoch)
return {epoch, call('HGET', KEYS[1], 'c') or '', call('HGETALL', KEYS[2]), call('HGETALL', KEYS[3])}
