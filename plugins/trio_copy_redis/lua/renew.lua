-- 4 which lease 5 its token 6 how long
local v = call('HMGET', k(ARGV[4]), 'owner', 'token', 'until')
if not v[1] or v[2] ~= ARGV[5] or tonumber(v[3]) <= now then return FENCED end
local till = string.format('%.6f', now + tonumber(ARGV[6]))
call('HSET', k(ARGV[4]), 'until', till)
return till
