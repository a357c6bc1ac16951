-- 4 owner, then task and intent, again and again
if fenced() then return FENCED end
for i = 5, #ARGV, 2 do
  local t = get(ARGV[i])
  if not t or t.s ~= 'leased' or t.o ~= ARGV[4] then return NOT_YOURS end
end
for i = 5, #ARGV, 2 do call('HSET', k('task:' .. ARGV[i]), 'b', ARGV[i + 1]) end
return 1
