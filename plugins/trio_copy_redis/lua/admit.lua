-- 4 signal 5 dedup ms 6 capacity 7 credit key 8 block 9 record 10 checkpoint 11 nonce 12 shed 13 evicted 14 keep ms
-- 15 history length 16 bell 17 whether its block is whole 18 transaction 19 number of tasks, 10 words each: id executor
-- follower body deadline not-before gather side decided position; then skips.
if fenced() then return FENCED end
local id, ttl, capacity, credit, block, nonce, keep = ARGV[4], ARGV[5], tonumber(ARGV[6]), ARGV[7], ARGV[8], ARGV[11], ARGV[14]
local signal = k('signal:' .. id)
local v = call('HMGET', signal, 'as', 'at', 'open', 'by', 'ans')
if v[1] and v[4] == nonce then -- our own call, whose answer was lost
  local answer = cjson.decode(v[5])
  return {'admitted', answer[1], rows(answer[2])}
end
if v[1] and tonumber(v[2]) + ttl / 1000 <= now and tonumber(v[3] or 0) <= 0 then
  call('DEL', signal, k('of:' .. id))
  v = {}
end
if ARGV[10] ~= '' then call('HSET', k('shard'), 'checkpoint', ARGV[10]) end
local function stands(as)
  local s = k('signal:' .. as)
  if call('HSETNX', s, 'B' .. block, 1) == 1 then call('HINCRBY', s, 'nb', 1) end
end
local as = v[1]
if as and call('HGET', k('signal:' .. as), 'ret') ~= '1' then
  stands(as)
  return {'duplicate'}
end
if not as and credit ~= '' then
  local credits = k('credits:' .. credit)
  call('ZREMRANGEBYSCORE', credits, '-inf', NOW)
  for _, known in ipairs(call('ZRANGE', credits, 0, -1)) do
    local seen = call('HMGET', k('signal:' .. known), 'ret', 'X' .. ARGV[18])
    if seen[1] ~= '1' then
      call('ZREM', credits, known)
    elseif not seen[2] then -- another fill of a transaction it was in is no return of it
      as = known
      break
    end
  end
  if as and ARGV[17] ~= '1' then return {'unsure'} end
end
if as and role ~= '' and role ~= 'lease' then return {'duplicate'} end -- its owner says whether it is there again
if as then -- it was taken back, and is there again
  local s = k('signal:' .. as)
  if not v[1] then -- under another hash
    call('HSET', signal, 'as', as, 'at', NOW)
    call('PEXPIRE', signal, ttl)
  end
  local fields = call('HKEYS', s)
  for _, name in ipairs(fields) do
    if string.sub(name, 1, 1) == 'B' then call('HDEL', s, name) end
  end
  call('HSET', s, 'ret', 0, 'nb', 0, 'X' .. ARGV[18], 1)
  -- However it came back: what stands in the chain again must not be taken for one more trade.
  if credit ~= '' then call('ZREM', k('credits:' .. credit), as) end
  stands(as)
  local resumed = 0
  for _, task in ipairs(call('SMEMBERS', k('of:' .. as))) do
    local t = get(task)
    if t and t.s == 'held' then
      call('ZREM', k('held'), task)
      set(t, 'queued')
      with_group(t.q)
      tail(t)
      index(t)
      resumed = resumed + 1
    end
  end
  if resumed > 0 then call('PUBLISH', ARGV[16], P) end
  return {'adopted', as, resumed}
end

call('HSET', signal, 'as', id, 'rec', ARGV[9], 'at', NOW, 'ret', 0, 'open', 0, 'nb', 0, 'ck', credit, 'X' .. ARGV[18], 1)
call('HSET', signal, 'keep', math.max(tonumber(ttl), tonumber(keep)))
stands(id)
local n, at = tonumber(ARGV[19]), 20
local c = call('HMGET', k('count'), 'queued', 'waiting', 'held', 'seq')
local resting, seq = tonumber(c[1] or 0) + tonumber(c[2] or 0) + tonumber(c[3] or 0), tonumber(c[4] or 0)
local peak = tonumber(call('HGET', k('count'), 'peak') or 0)
local kept, open, queued, gone, groups = 0, 0, 0, {}, {}
for _ = 1, n do
  local w = {unpack(ARGV, at, at + 9)}
  at = at + 10
  local t = {id = w[1], key = k('task:' .. w[1]), e = w[2], q = k('queue:' .. w[2]), n = w[6], ga = w[7], si = w[8], d = w[9],
             p = w[10], a = '0', g = id, s = 'new', x = ''}
  local known = call('HGET', t.key, 's')
  if not known or known == 'ended' then
    if known then call('DEL', t.key) end
    seq = seq + 1
    t.i = seq
    local room = resting < capacity
    if not room and t.si == 'SELL' then
      local oldest = call('ZRANGE', k('entries'), 0, 0)[1]
      local victim = oldest and get(oldest)
      if victim then
        finish(victim, ARGV[13], '', keep)
        gone[#gone + 1] = oldest
        resting = resting - 1
        room = true
      end
    end
    call('HSET', t.key, 'e', t.e, 'f', w[3], 'b', w[4], 'dl', w[5], 'n', t.n, 'ga', t.ga, 'si', t.si, 'd', t.d, 'p', t.p, 'g', id,
         'i', seq, 'a', 0, 'x', '', 's', room and 'queued' or 'ended')
    call('XADD', k('history'), 'MAXLEN', '~', ARGV[15], '*', 't', t.id)
    if room then
      if not groups[t.e] then
        groups[t.e] = true
        call('SADD', k('executors'), t.e)
        with_group(t.q)
      end
      t.s = 'queued'
      tail(t)
      index(t)
      buying(t)
      call('SADD', k('of:' .. id), t.id)
      resting = resting + 1
      queued = queued + 1
      kept = kept + 1
      open = open + 1
    else
      call('HSET', t.key, 'r', ARGV[12], 'z', NOW)
      call('PEXPIRE', t.key, keep)
      gone[#gone + 1] = t.id
    end
  end
end
if queued > 0 then
  count('queued', queued)
else
  call('PEXPIRE', signal, math.max(tonumber(ttl), tonumber(keep)))
end
call('HSET', k('count'), 'seq', seq, 'peak', math.max(peak, resting))
call('HSET', signal, 'open', open, 'by', nonce, 'ans', cjson.encode({kept, gone}))
for i = at, #ARGV do call('XADD', k('skips'), 'MAXLEN', '~', ARGV[15], '*', 'r', ARGV[i]) end
if queued > 0 then call('PUBLISH', ARGV[16], P) end
return {'admitted', kept, rows(gone)}
