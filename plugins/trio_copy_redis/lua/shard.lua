-- What every step on a shard begins with. KEYS[1] is the shard's tag; ARGV: role and token of the lease, the time.
--
--   count          how many tasks are queued, leased, waiting, held, dead; peak, seq
--   task:ID        one task: s(tate) e(xecutor) f(ollower) b(ody: its intent) si(de) dl (deadline) d(ecided) n(ot before)
--                  ga (whom it gathers with) g (its signal) i (its number) a(gain) c (how often it came back)
--                  p (whose position it is about) x (its entry in the stream) o(wner) u(ntil) l(eased at) w(aits until) z (ended at) r (outcome) y (why)
--   signal:ID      one signal: as (the id it was first known under) rec(ord) at ret(racted) open (tasks that have not ended)
--                  nb and B... (the blocks it stands in) X... (every transaction it was in) ck (its credit key)
--                  by and ans (who admitted it, and what he was answered)
--   credits:KEY    retracted signals that may come back under another hash, by when that ends
--   of:ID          the tasks of a signal, until the last one ends
--   queue:EXECUTOR the stream of one executor's tasks, group "workers". What is leased is pending for its owner; what was
--                  given back is pending for "~back", and goes out first
--   due waiting held entries   tasks by when they are due, give up, end; purchases by age, for exits that need room
--   gather:...     resting tasks that go out together
--   buying:...     entries of a position that have not ended, by when they were decided: what an exit looks for
--   dead history skips         streams for people
local P, role, token, now, NOW = KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[3]
local call = redis.call
local GROUP, BACK, LATE = 'workers', '~back', 1e13
local FENCED = redis.error_reply('FENCED this shard has another owner now')
local NOT_YOURS = redis.error_reply('LEASE the task is not leased to you')
local function k(name) return P .. ':' .. name end
local function fenced() return role ~= '' and call('HGET', k(role), 'token') ~= token end

local FIELDS = {'s', 'e', 'x', 'si', 'a', 'n', 'ga', 'i', 'd', 'g', 'o', 'u', 'w', 'p'}
local function get(id)
  local v = call('HMGET', k('task:' .. id), unpack(FIELDS))
  if not v[1] then return nil end
  local t = {id = id, key = k('task:' .. id), q = k('queue:' .. v[2])}
  for i, name in ipairs(FIELDS) do t[name] = v[i] or '' end
  return t
end

local function count(state, by) call('HINCRBY', k('count'), state, by) end

-- Resting tasks are found by exits that need room, and by tasks that gather. What was given out before is left alone.
local function index(t)
  if t.a ~= '0' then return end
  if t.si == 'BUY' then call('ZADD', k('entries'), (t.s == 'queued' and 0 or LATE) + tonumber(t.i), t.id) end
  if t.ga ~= '' and t.s ~= 'held' then call('ZADD', k('gather:' .. t.ga), t.d, t.id) end
end
local function unindex(t)
  call('ZREM', k('entries'), t.id)
  if t.ga ~= '' then call('ZREM', k('gather:' .. t.ga), t.id) end
end

local function set(t, state)
  if t.s ~= state then
    count(t.s, -1)
    if state ~= 'ended' then count(state, 1) end
  end
  t.s = state
  call('HSET', t.key, 's', state)
end

local function with_group(q)
  if call('EXISTS', q) == 0 or redis.pcall('XPENDING', q, GROUP).err then
    redis.pcall('XGROUP', 'CREATE', q, GROUP, '0', 'MKSTREAM')
  end
end

local function append(t)
  t.x = call('XADD', t.q, '*', 't', t.id)
  call('HSET', t.key, 'x', t.x)
end
-- Behind everything that is queued, now or when it is due.
local function tail(t)
  if tonumber(t.n) > now then
    call('ZADD', k('due'), t.n, t.id)
  else
    append(t)
  end
end
-- Out of the stream and of every waiting list.
local function unlink(t)
  if t.x ~= '' then
    call('XACK', t.q, GROUP, t.x)
    call('XDEL', t.q, t.x)
    call('HSET', t.key, 'x', '')
    t.x = ''
  end
  if t.s == 'queued' then call('ZREM', k('due'), t.id) end
  if t.s == 'waiting' then call('ZREM', k('waiting'), t.id) end
  if t.s == 'held' then call('ZREM', k('held'), t.id) end
end
-- Make the entry of a task pending for somebody, wherever the task was.
local function hand(t, to)
  if t.x == '' then
    call('ZREM', k('due'), t.id)
    append(t)
  end
  with_group(t.q)
  call('XCLAIM', t.q, GROUP, to, 0, t.x, 'FORCE', 'JUSTID')
end
local function lease(t, owner, till)
  unindex(t)
  if t.s == 'waiting' then call('ZREM', k('waiting'), t.id) end
  set(t, 'leased')
  call('HSET', t.key, 'o', owner, 'u', till, 'l', NOW)
end

-- A signal is kept as long as something of it is open, and its time to live from then on.
local function close(t)
  local signal = k('signal:' .. t.g)
  if call('EXISTS', signal) == 1 and call('HINCRBY', signal, 'open', -1) <= 0 then
    call('DEL', k('of:' .. t.g))
    call('PEXPIRE', signal, call('HGET', signal, 'keep') or 1)
  end
end

-- An exit finds an entry until it has ended, wherever it is.
local function known(t) return t.si == 'BUY' and t.p ~= '' end
local function buying(t)
  if known(t) then call('ZADD', k('buying:' .. t.p), t.d, t.id) end
end
local function bought(t)
  if known(t) then call('ZREM', k('buying:' .. t.p), t.id) end
end

local function finish(t, outcome, by, keep_ms)
  unlink(t)
  unindex(t)
  bought(t)
  set(t, 'ended')
  call('HSET', t.key, 'r', outcome, 'z', NOW, 'by', by)
  call('PEXPIRE', t.key, keep_ms)
  close(t)
end

local function retracted(t)
  return t.a == '0' and call('HGET', k('signal:' .. t.g), 'ret') == '1'
end
local function hold(t)
  call('ZADD', k('held'), call('HGET', t.key, 'dl'), t.id)
  set(t, 'held')
  index(t)
end
-- To the front of the queue, or aside when a reorg took its signal away meanwhile.
local function give_back(t)
  call('HDEL', t.key, 'o')
  if retracted(t) then
    unlink(t)
    return hold(t)
  end
  if tonumber(t.n) > now then
    unlink(t)
    call('ZADD', k('due'), t.n, t.id)
  else
    hand(t, BACK)
  end
  set(t, 'queued')
  index(t)
end
local function bury(t, why)
  unlink(t)
  unindex(t)
  set(t, 'dead')
  local x = call('XADD', k('dead'), '*', 't', t.id, 'y', why, 'at', NOW)
  call('HSET', t.key, 'x', x, 'y', why, 'z', NOW)
  call('HDEL', t.key, 'o')
end
-- Its worker died, or stalled for so long that nobody knows.
local function give_up(t, most)
  call('HSET', t.key, 'a', 1)
  t.a = '1'
  local times = most == math.huge and 0 or call('HINCRBY', t.key, 'c', 1)
  if times >= most then
    bury(t, 'given out ' .. times .. ' times and never ended')
  else
    give_back(t)
  end
end

local ROW = {'g', 'f', 'e', 'b', 'dl', 'd', 'n', 'ga', 'a', 's', 'l', 'z', 'r', 'y'}
-- Whole tasks, and each of their signals once.
local function rows(ids)
  local tasks, signals, seen = {}, {}, {}
  for _, id in ipairs(ids) do
    local v = call('HMGET', k('task:' .. id), unpack(ROW))
    if v[1] then
      local row = {id}
      for i = 1, #ROW do row[i + 1] = v[i] or '' end
      tasks[#tasks + 1] = row
      if not seen[v[1]] then
        seen[v[1]] = true
        signals[#signals + 1] = {v[1], call('HGET', k('signal:' .. v[1]), 'rec') or ''}
      end
    end
  end
  return {tasks, signals}
end
