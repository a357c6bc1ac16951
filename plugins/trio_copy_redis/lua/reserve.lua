-- 4 key 5 whether it also draws on what everybody shares, then 6 words a claim: budget amount limit per until position
if fenced() then return FENCED end
local hold = k('hold:' .. ARGV[4])
if call('EXISTS', hold) == 1 or call('EXISTS', k('settled:' .. ARGV[4])) == 1 then return {} end
for i = 6, #ARGV, 6 do
  local used = tonumber(call('HGET', k('used'), ARGV[i]) or 0)
  local limit = tonumber(ARGV[i + 2])
  if ARGV[i + 5] ~= '' then limit = tonumber(call('HGET', k('position:' .. ARGV[i + 5]), 'shares') or 0) end
  if used + tonumber(ARGV[i + 1]) > limit then return {(i - 6) / 6, string.format('%.0f', used)} end
end
for _, counter in ipairs(call('ZRANGEBYSCORE', k('until'), '-inf', '(' .. NOW, 'LIMIT', 0, 20)) do
  call('HDEL', k('used'), counter)
  call('ZREM', k('until'), counter)
end
local held = {}
for i = 6, #ARGV, 6 do
  call('HINCRBY', k('used'), ARGV[i], ARGV[i + 1])
  if ARGV[i + 4] ~= '' then call('ZADD', k('until'), ARGV[i + 4], ARGV[i]) end
  held[#held + 1] = {ARGV[i], ARGV[i + 1], ARGV[i + 3]}
end
if #held > 0 or ARGV[5] == '1' then
  call('SET', hold, ARGV[5] .. (#held > 0 and cjson.encode(held) or '[]'))
  call('SADD', k('holds'), ARGV[4])
end
return {}
