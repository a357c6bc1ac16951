-- 4.. positions, or none for all: each with its version, record, lots and mark
local names, out = {}, {}
for i = 4, #ARGV do names[#names + 1] = ARGV[i] end
if #names == 0 then names = call('SMEMBERS', k('positions')) end
for _, name in ipairs(names) do
  local v = call('HMGET', k('position:' .. name), 'v', 'rec')
  if v[2] then
    out[#out + 1] = {name, v[1], v[2], call('GET', k('lots:' .. name)) or '', call('HGET', k('marks'), name) or ''}
  end
end
return out
