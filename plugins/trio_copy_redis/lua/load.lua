-- KEYS 1 shard 2 heads, then documents of accounts. ARGV 1 token, then names of heads
if fenced(ARGV[1]) then return FENCED end
local heads, out = {}, {}
for i = 2, #ARGV, 5000 do
  for _, body in ipairs(call('HMGET', KEYS[2], unpack(ARGV, i, math.min(i + 4999, #ARGV)))) do heads[#heads + 1] = body end
end
for i = 3, #KEYS do out[i - 2] = call('HGETALL', KEYS[i]) end
return {heads, out}
