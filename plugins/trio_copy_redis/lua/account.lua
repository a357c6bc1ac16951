-- What every step on a follower's account begins with. KEYS[1] is the follower's tag; ARGV: shard of the leader and token
-- of its lease (empty: nobody fences), the time.
--
--   fence          the highest token seen of each shard: a lower one comes from somebody who lost the shard since
--   order:KEY      one order: rec(ord) task members state report at frozen sent ended
--   open           keys of orders that have not ended, by when they were frozen
--   orders:TASK    keys of the orders that a task went out in
--   log            stream of (order id, key, task), for people
--   used           millionths given out, by budget; until: when a budget with a window may be forgotten
--   hold:KEY       what is reserved for an order; settled:KEY: that it was settled
--   books          v(ersion) perf(ormance); grows with each booking
--   position:L:T   rec(ord) shares; lots:L:T its lots; entries:L:T the keys of its entries
--   entry:KEY      one entry: rec(ord) booking by; ledger: stream of their keys, kept for ever
--   positions      leader:token of every position; marks: what they could be sold for
local P, shard, token, now, NOW = KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[3]
local call = redis.call
local FENCED = redis.error_reply('FENCED this shard has another owner now')
local function k(name) return P .. ':' .. name end
local function fenced()
  if shard == '' then return false end
  local highest = tonumber(call('HGET', k('fence'), shard) or 0)
  if tonumber(token) < highest then return true end
  if tonumber(token) > highest then call('HSET', k('fence'), shard, token) end
  return false
end
local function add(counter, amount)
  if call('HINCRBY', k('used'), counter, amount) <= 0 then call('HDEL', k('used'), counter) end
end
local ORDER = {'rec', 'task', 'members', 'state', 'report', 'at', 'frozen', 'sent', 'ended'}
local function order(key)
  local v = call('HMGET', k('order:' .. key), unpack(ORDER))
  if not v[1] then return false end
  for i = 1, #ORDER do v[i] = v[i] or '' end
  return v
end

-- Ends a reservation: what of it stays spent; 2 when it also drew on what everybody shares.
local function settle(key, spent, keep)
  local hold = call('GET', k('hold:' .. key))
  if not hold then return tonumber(call('GET', k('settled:' .. key)) or 0) end
  for _, claim in ipairs(cjson.decode(string.sub(hold, 2))) do
    local amount, kept = tonumber(claim[2]), 0
    if spent ~= 'release' then
      if claim[3] == 'cost' then kept = tonumber(spent)
      elseif claim[3] == 'sent' or (claim[3] == 'opened' and tonumber(spent) > 0) then kept = amount end
    end
    add(claim[1], string.format('%.0f', kept - amount))
  end
  call('DEL', k('hold:' .. key))
  call('SREM', k('holds'), key)
  local shared = string.sub(hold, 1, 1) == '1' and 2 or 1
  if spent ~= 'release' then call('SET', k('settled:' .. key), shared, 'PX', keep) end
  return shared
end
-- Records how far an order got; ended is final.
local function mark(id, state, report, keep)
  local key = k('order:' .. id)
  local v = call('HMGET', key, 'state', 'sent')
  if not v[1] then return redis.error_reply('UNKNOWNKEY the journal knows no intent ' .. id) end
  if v[1] == 'ended' then return 1 end
  call('HSET', key, 'state', state, 'at', NOW)
  if report ~= '' then call('HSET', key, 'report', report) end
  if state == 'sending' and not v[2] then call('HSET', key, 'sent', NOW) end
  if state == 'ended' then
    call('HSET', key, 'ended', NOW)
    call('ZREM', k('open'), id)
    call('PEXPIRE', key, keep)
    local o = call('HMGET', key, 'of', 'members')
    call('PEXPIRE', k('orders:' .. o[1]), keep)
    for _, member in ipairs(cjson.decode(o[2])) do call('PEXPIRE', k('orders:' .. member), keep) end
  end
  return 1
end
