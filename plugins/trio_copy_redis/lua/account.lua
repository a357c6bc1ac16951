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
