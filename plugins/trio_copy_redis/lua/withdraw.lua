-- 4 an exit 5 owner 6 until: the entries before it that rest, and those that the owner has leased already
if fenced() then return FENCED end
local owner, till = ARGV[5], ARGV[6]
local exit = get(ARGV[4])
if not exit or exit.s ~= 'leased' or exit.o ~= owner then return NOT_YOURS end
local out = {}
for _, id in ipairs(exit.p == '' and {} or call('ZRANGEBYSCORE', k('buying:' .. exit.p), '-inf', '(' .. exit.d)) do
  local t = get(id)
  if t and (t.s == 'queued' or t.s == 'waiting') then
    lease(t, owner, till)
    hand(t, owner)
    out[#out + 1] = id
  elseif t and t.s == 'leased' and t.o == owner then
    out[#out + 1] = id
  end
end
return rows(out)
