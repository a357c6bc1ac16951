-- KEYS 1 shard 2 requests 3 asked. ARGV 1 token
if fenced(ARGV[1]) then return FENCED end
local names = call('ZRANGE', KEYS[3], 0, 99)
if #names == 0 then return {{}, {}} end
return {names, call('HMGET', KEYS[2], unpack(names))}
