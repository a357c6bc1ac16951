-- 4 task 5 owner 6 bell
if fenced() then return FENCED end
local t = get(ARGV[4])
if not t or t.s ~= 'leased' or t.o ~= ARGV[5] then return NOT_YOURS end
give_back(t)
call('PUBLISH', ARGV[6], P)
return 1
