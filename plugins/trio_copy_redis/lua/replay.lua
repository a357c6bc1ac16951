-- 4 "replay" or "purge" 5 bell, then tasks; those that are no dead letters of this shard are left alone
if fenced() then return FENCED end
local done = 0
for i = 6, #ARGV do
  local t = get(ARGV[i])
  if t and t.s == 'dead' then
    call('XDEL', k('dead'), t.x)
    t.x = ''
    call('HSET', t.key, 'x', '', 'c', 0)
    call('HDEL', t.key, 'y', 'z')
    done = done + 1
    if ARGV[4] == 'replay' then
      give_back(t)
    else
      set(t, 'ended')
      bought(t)
      close(t)
      call('DEL', t.key)
    end
  end
end
if done > 0 then call('PUBLISH', ARGV[5], P) end
return done
