-- 4 owner 5 until, then tasks
if fenced() then return FENCED end
local lost = {}
for i = 6, #ARGV do
  local t = get(ARGV[i])
  if t and t.s == 'leased' and t.o == ARGV[4] then
    call('HSET', t.key, 'u', ARGV[5])
    if t.x ~= '' and redis.pcall('XCLAIM', t.q, GROUP, ARGV[4], 0, t.x, 'FORCE', 'JUSTID').err then hand(t, ARGV[4]) end
  else
    lost[#lost + 1] = ARGV[i]
  end
end
return lost
