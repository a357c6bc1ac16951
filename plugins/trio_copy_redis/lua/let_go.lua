-- KEYS 1 shard 2 facts 3 ids 4 rest 5 totals. ARGV 1 token 2 number of the last write that is known 3 first entry
-- 4 the first entry that stays, then fields and values of totals. Returns whether it was done: not when either has changed since.
if fenced(ARGV[1]) then return FENCED end
if call('HGET', KEYS[1], 'n') ~= ARGV[2] then return 0 end
local first = call('XRANGE', KEYS[3], '-', '+', 'COUNT', 1)[1]
if not first or first[1] ~= ARGV[3] then return 0 end
-- Before anything is deleted, for a full server refuses it.
call('HSET', KEYS[5], '', ARGV[4], unpack(ARGV, 5))
for i = 2, 4 do call('XTRIM', KEYS[i], 'MINID', ARGV[4]) end
return 1
