-- 4 task 5 owner 6 until
if fenced() then return FENCED end
local t = get(ARGV[4])
if not t or t.s ~= 'leased' or t.o ~= ARGV[5] then return NOT_YOURS end
local out = {}
if t.ga ~= '' then
  for _, id in ipairs(call('ZRANGE', k('gather:' .. t.ga), 0, -1)) do
    local other = get(id)
    if other and (other.s == 'queued' or other.s == 'waiting') then
      lease(other, ARGV[5], ARGV[6])
      hand(other, ARGV[5])
      out[#out + 1] = id
    end
  end
end
return rows(out)
