-- 4.. positions, each with the version that the caller knows; or none for all: each with its version, and what it holds
-- unless that is known
local out = {}
local function read(name, known)
  local v = call('HMGET', k('position:' .. name), 'v', 'rec')
  if not v[1] then return end
  if v[1] == known then
    out[#out + 1] = {name, v[1], '', ''}
  else
    out[#out + 1] = {name, v[1], v[2], call('GET', k('lots:' .. name)) or ''}
  end
end
if #ARGV < 4 then
  for _, name in ipairs(call('SMEMBERS', k('positions'))) do read(name, '') end
end
for i = 4, #ARGV, 2 do read(ARGV[i], ARGV[i + 1]) end
return out
