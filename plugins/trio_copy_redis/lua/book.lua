-- 4 entry key 5 position 6 the version of the books it was worked out from 7 entry 8 booking 9 nonce 10 position record
-- 11 shares 12 "add" or "set" 13 lots 14 performance or nothing 15 "closed" or nothing, then budget and amount of what is freed
if fenced() then return FENCED end
if call('EXISTS', k('entry:' .. ARGV[4])) == 1 then return 'known' end
if (call('HGET', k('books'), 'v') or '0') ~= ARGV[6] then return 'again' end
local v = call('HINCRBY', k('books'), 'v', 1)
call('HSET', k('entry:' .. ARGV[4]), 'rec', ARGV[7], 'booking', ARGV[8], 'by', ARGV[9])
call('RPUSH', k('entries:' .. ARGV[5]), ARGV[4])
call('XADD', k('ledger'), '*', 'k', ARGV[4], 'at', NOW)
call('HSET', k('position:' .. ARGV[5]), 'rec', ARGV[10], 'shares', ARGV[11], 'v', v)
if ARGV[12] == 'add' then call('APPEND', k('lots:' .. ARGV[5]), ARGV[13]) else call('SET', k('lots:' .. ARGV[5]), ARGV[13]) end
call('SADD', k('positions'), ARGV[5])
if ARGV[14] ~= '' then call('HSET', k('books'), 'perf', ARGV[14]) end
if ARGV[15] ~= '' then call('HDEL', k('marks'), ARGV[5]) end
for i = 16, #ARGV, 2 do add(ARGV[i], ARGV[i + 1]) end
return tostring(v)
