-- 4 prefix, then budget and amount: what begins with the prefix becomes that, and what is reserved on top
for _, counter in ipairs(call('HKEYS', k('used'))) do
  if string.sub(counter, 1, #ARGV[4]) == ARGV[4] then call('HDEL', k('used'), counter) end
end
for i = 5, #ARGV, 2 do add(ARGV[i], ARGV[i + 1]) end
for _, key in ipairs(call('SMEMBERS', k('holds'))) do
  for _, claim in ipairs(cjson.decode(string.sub(call('GET', k('hold:' .. key)) or '0[]', 2))) do
    if string.sub(claim[1], 1, #ARGV[4]) == ARGV[4] then add(claim[1], claim[2]) end
  end
end
return 1
