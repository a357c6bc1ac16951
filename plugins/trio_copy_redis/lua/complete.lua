-- 4 task 5 owner 6 outcome 7 nonce 8 keep ms
if fenced() then return FENCED end
local t = get(ARGV[4])
if t and t.s == 'ended' then return call('HGET', t.key, 'by') == ARGV[7] and 1 or 0 end
if not t or t.s ~= 'leased' or t.o ~= ARGV[5] then return NOT_YOURS end
finish(t, ARGV[6], ARGV[7], ARGV[8])
return 1
