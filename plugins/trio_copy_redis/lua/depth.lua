-- what waits in the shard, and since when
local oldest = ''
for _, e in ipairs(call('SMEMBERS', k('executors'))) do
  local first = call('XRANGE', k('queue:' .. e), '-', '+', 'COUNT', 1)[1]
  local d = first and call('HGET', k('task:' .. first[2][2]), 'd')
  if d and (oldest == '' or tonumber(d) < tonumber(oldest)) then oldest = d end
end
return {call('HMGET', k('count'), 'queued', 'leased', 'waiting', 'held', 'dead', 'peak'), oldest}
