-- KEYS 1 budget. ARGV 1 shard 2 total 3 limit 4 for how long it is remembered: returns what the shard may spend then.
-- Lua's numbers are exact below 2^53, and the caller asks for no more.
local mine, others = tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or 0), 0
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  if all[i] ~= ARGV[1] then others = others + tonumber(all[i + 1]) end
end
-- Neither a lower total nor a lowered limit takes anything away, for it may be spent.
local covered = tonumber(ARGV[3]) - others
local has = math.max(mine, math.min(tonumber(ARGV[2]), covered))
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f', has))
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return string.format('%.0f', math.max(0, math.min(has, covered)))
