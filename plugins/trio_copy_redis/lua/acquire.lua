-- KEYS 1 lease. ARGV 1 owner 2 now 3 for how long 4 until when by the owner's clock: takes a lease that is free, or extends the owner's own
local call, owner, now = redis.call, ARGV[1], tonumber(ARGV[2])
local was = call('HMGET', KEYS[1], 'owner', 'token', 'until')
local live = was[1] and tonumber(was[3]) > now
if live and was[1] ~= owner then return nil end
local token = tonumber(was[2] or 0)
if not live then
  -- Tokens grow by time as well: should Redis lose the last ones that it gave, none of them is given again.
  local time = call('TIME')
  token = math.max(token + 1, tonumber(time[1]) * 1000000 + tonumber(time[2]))
end
token = string.format('%.0f', token)
local till = string.format('%.6f', now + tonumber(ARGV[3]))
call('HSET', KEYS[1], 'owner', owner, 'token', token, 'until', till, 'told', ARGV[4])
return token
