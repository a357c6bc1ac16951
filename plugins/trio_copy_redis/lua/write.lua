-- KEYS 1 shard 2 accounts 3 heads, with facts 3 streams, with answers requests, asked and the answers; then the documents of
-- accounts. ARGV 1 token 2 number 3 epoch, if known 4 checkpoint or nothing 5 how many facts 6 answers 7 new accounts 8 words
-- of heads that are put 9 heads that are deleted; then with facts: newest moment, columns, digests, ids, rest; names and texts
-- of answers; new accounts; heads; of each account: how many words are put, how many documents deleted, and these. Returns
-- whether it was carried out now.
local FORGOT = redis.error_reply('FORGOT the shard is not as it was left: Redis has lost something')
local token, number = tonumber(ARGV[1]), tonumber(ARGV[2])
local was = call('HMGET', KEYS[1], 't', 'n', 'e', 'top', 'ms', 'facts')
local known = tonumber(was[1] or -1)
if known > token then return FENCED end
if known < token or (ARGV[3] ~= '' and was[3] ~= ARGV[3]) then return FORGOT end
if number == tonumber(was[2]) then return 0 end
if number ~= tonumber(was[2]) + 1 then return FORGOT end

local facts, answers = tonumber(ARGV[5]), tonumber(ARGV[6])
local key, at = 3, 10
-- A call takes so many words; an even number, for pairs.
local function many(command, name, count)
  for i = at, at + count - 1, 5000 do call(command, name, unpack(ARGV, i, math.min(i + 4999, at + count - 1))) end
  at = at + count
end

-- The first thing that is written is a command that a full server refuses: then nothing is written at all.
local shard = {'n', ARGV[2]}
if ARGV[4] ~= '' then
  shard[3], shard[4] = 'c', ARGV[4]
end
if facts > 0 then
  local time = call('TIME')
  local ms = math.max(tonumber(was[5] or 0), tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000))
  local total = tonumber(was[6] or 0) + facts
  local top = was[4]
  if not top or tonumber(top) < tonumber(ARGV[at]) then top = ARGV[at] end
  local id = string.format('%.0f-%.0f', ms, total)
  call('XADD', KEYS[4], id, 'c', ARGV[at + 1], 'd', ARGV[at + 2], 't', top)
  call('XADD', KEYS[5], id, 'i', ARGV[at + 3], 'd', ARGV[at + 2])
  call('XADD', KEYS[6], id, 'r', ARGV[at + 4])
  for _, word in ipairs({'top', top, 'ms', string.format('%.0f', ms), 'facts', string.format('%.0f', total)}) do
    shard[#shard + 1] = word
  end
  key, at = 6, at + 5
end
call('HSET', KEYS[1], unpack(shard))
if answers > 0 then
  for i = 1, answers do
    call('SET', KEYS[key + 2 + i], ARGV[at + 1], 'PX', 7200000)
    call('HDEL', KEYS[key + 1], ARGV[at])
    call('ZREM', KEYS[key + 2], ARGV[at])
    at = at + 2
  end
  key = key + 2 + answers
end
many('SADD', KEYS[2], tonumber(ARGV[7]))
many('HSET', KEYS[3], tonumber(ARGV[8]))
many('HDEL', KEYS[3], tonumber(ARGV[9]))
for i = key + 1, #KEYS do
  local put, gone = tonumber(ARGV[at]), tonumber(ARGV[at + 1])
  at = at + 2
  many('HSET', KEYS[i], put)
  many('HDEL', KEYS[i], gone)
end
return 1
