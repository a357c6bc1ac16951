-- 4 owner 5 until, then tasks
if fenced() then return FENCED end
for i = 6, #ARGV do
  local t = get(ARGV[i])
  if not t or t.s ~= 'leased' or t.o ~= ARGV[4] then return NOT_YOURS end
end
for i = 6, #ARGV do
  local t = get(ARGV[i])
  call('HSETNX', t.key, 'w', ARGV[5])
  call('HDEL', t.key, 'o')
  unlink(t)
  if retracted(t) then
    hold(t)
  else
    set(t, 'waiting')
    call('ZADD', k('waiting'), call('HGET', t.key, 'w'), t.id)
    index(t)
  end
end
return 1
