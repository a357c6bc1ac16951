-- 4 which lease 5 its token 6 how long
-- One that ran out and that nobody has taken since is still its owner's.
local v = call('HMGET', k(ARGV[4]), 'owner', 'token')
if not v[1] or v[2] ~= ARGV[5] then return FENCED end
local till = string.format('%.6f', now + tonumber(ARGV[6]))
call('HSET', k(ARGV[4]), 'until', till)
return till
