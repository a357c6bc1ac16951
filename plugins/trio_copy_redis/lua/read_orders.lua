-- 4 "task" or "keys", then a task's id, or keys of orders
local keys = {}
if ARGV[4] == 'task' then
  keys = call('LRANGE', k('orders:' .. ARGV[5]), 0, -1)
else
  for i = 5, #ARGV do keys[#keys + 1] = ARGV[i] end
end
local out = {}
for _, key in ipairs(keys) do
  local o = order(key)
  if o then out[#out + 1] = o end
end
return out
