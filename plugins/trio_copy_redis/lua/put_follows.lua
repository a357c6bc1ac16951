-- KEYS 1 follows 2 version 3 log of changes. ARGV 1 channel 2 length of the log, then 2 words each: name and record, or name
-- and nothing to remove it
local call = redis.call
local version = tonumber(call('GET', KEYS[2]) or 0)
local before = version
for i = 3, #ARGV, 2 do
  local name, record = ARGV[i], ARGV[i + 1]
  local stored = call('HGET', KEYS[1], name)
  local own = stored and string.match(stored, '^%d+|(.*)$')
  if record ~= '' and own ~= record then
    version = version + 1
    call('HSET', KEYS[1], name, version .. '|' .. record)
    call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[2], version .. '-1', 'n', name, 'r', record)
  elseif record == '' and stored then
    version = version + 1
    call('HDEL', KEYS[1], name)
    call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[2], version .. '-1', 'n', name, 'r', '')
  end
end
if version > before then
  call('SET', KEYS[2], version)
  call('PUBLISH', ARGV[1], 'follows')
end
return version
