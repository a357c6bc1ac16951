-- 2 bell 3 log length, then 2 words each: name and record, or name and nothing to remove it
local v = tonumber(call('GET', k('follows:v')) or 0)
local before = v
for i = 4, #ARGV, 2 do
  local name, record = ARGV[i], ARGV[i + 1]
  local held = call('HGET', k('follows'), name)
  local own = held and string.match(held, '^%d+|(.*)$')
  if record ~= '' and own ~= record then
    v = v + 1
    call('HSET', k('follows'), name, v .. '|' .. record)
    call('XADD', k('follows:log'), 'MAXLEN', '~', ARGV[3], v .. '-1', 'n', name, 'r', record)
  elseif record == '' and held then
    v = v + 1
    call('HDEL', k('follows'), name)
    call('XADD', k('follows:log'), 'MAXLEN', '~', ARGV[3], v .. '-1', 'n', name, 'r', '')
  end
end
if v > before then
  call('SET', k('follows:v'), v)
  call('PUBLISH', ARGV[2], 'follows')
end
return v
