-- 4 task 5 the state it must be in 6 outcome 7 keep ms
if fenced() then return FENCED end
local t = get(ARGV[4])
if not t or t.s ~= ARGV[5] then return 0 end
finish(t, ARGV[6], '', ARGV[7])
return 1
