-- 4 key 5 spent, or "release" 6 keep ms: ends a reservation
if fenced() then return FENCED end
local hold = call('GET', k('hold:' .. ARGV[4]))
if not hold then return 0 end
for _, claim in ipairs(cjson.decode(hold)) do
  local amount, kept = tonumber(claim[2]), 0
  if ARGV[5] ~= 'release' then
    local spent = tonumber(ARGV[5])
    if claim[3] == 'cost' then kept = spent
    elseif claim[3] == 'sent' or (claim[3] == 'opened' and spent > 0) then kept = amount end
  end
  add(claim[1], string.format('%.0f', kept - amount))
end
call('DEL', k('hold:' .. ARGV[4]))
call('SREM', k('holds'), ARGV[4])
if ARGV[5] ~= 'release' then call('SET', k('settled:' .. ARGV[4]), 1, 'PX', ARGV[6]) end
return 1
