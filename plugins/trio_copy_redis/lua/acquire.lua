-- 4 which lease 5 owner 6 how long: takes a lease that is free, or extends the owner's own
local key, owner = k(ARGV[4]), ARGV[5]
local v = call('HMGET', key, 'owner', 'token', 'until')
local live = v[1] and tonumber(v[3]) > now
if live and v[1] ~= owner then return nil end
local last = tonumber(v[2] or 0)
-- Tokens grow even when Redis has lost the last ones it gave.
local mine = live and last or math.max(last + 1, math.floor(now * 1000))
local till = string.format('%.6f', now + tonumber(ARGV[6]))
-- Whether the last owner died; what it had leased then counts as given out in vain.
if v[1] then call('HSET', key, 'clean', v[1] == owner and 1 or 0) end
call('HSET', key, 'owner', owner, 'token', string.format('%.0f', mine), 'until', till)
return {string.format('%.0f', mine), till}
