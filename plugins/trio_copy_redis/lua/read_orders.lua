-- 4 "task" and 5 a task's id: its orders. 4 "open" and 5.. keys: those that have not ended, and the keys of those that have
local out, ended = {}, {}
if ARGV[4] == 'task' then
  for _, key in ipairs(call('LRANGE', k('orders:' .. ARGV[5]), 0, -1)) do
    local o = order(key)
    if o then out[#out + 1] = o end
  end
  return out
end
for i = 5, #ARGV do
  local state = call('HGET', k('order:' .. ARGV[i]), 'state')
  if state == 'ended' then
    ended[#ended + 1] = ARGV[i]
  elseif state then
    out[#out + 1] = order(ARGV[i])
  end
end
return {out, ended}
