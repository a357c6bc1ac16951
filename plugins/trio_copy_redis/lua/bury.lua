-- 4 task 5 owner 6 why
if fenced() then return FENCED end
local t = get(ARGV[4])
if not t or t.s ~= 'leased' or t.o ~= ARGV[5] then return NOT_YOURS end
bury(t, ARGV[6])
return 1
