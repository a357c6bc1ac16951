-- 4 entry key 5 position 6 and 7 the versions of books and position that it was worked out from 8 entry 9 booking 10 nonce
-- 11 position record 12 shares 13 "add" or "set" 14 lots 15 performance or nothing 16 "closed" or nothing 17 the order that
-- is closed with it, or nothing 18 spent 19 state 20 report 21 keep ms, then budget and amount of what is freed
if fenced() then return FENCED end
local answer = 'known'
if call('EXISTS', k('entry:' .. ARGV[4])) == 0 then
  if (call('HGET', k('books'), 'v') or '0') ~= ARGV[6] then return {'again', 0} end
  if (call('HGET', k('position:' .. ARGV[5]), 'v') or '') ~= ARGV[7] then return {'again', 0} end
  if ARGV[17] ~= '' and call('EXISTS', k('order:' .. ARGV[17])) == 0 then return mark(ARGV[17], '', '', 0) end
  local v = call('HINCRBY', k('books'), 'v', 1)
  call('HSET', k('entry:' .. ARGV[4]), 'rec', ARGV[8], 'booking', ARGV[9], 'by', ARGV[10])
  call('RPUSH', k('entries:' .. ARGV[5]), ARGV[4])
  call('XADD', k('ledger'), '*', 'k', ARGV[4], 'at', NOW)
  call('HSET', k('position:' .. ARGV[5]), 'rec', ARGV[11], 'shares', ARGV[12], 'v', v)
  call(ARGV[13] == 'add' and 'APPEND' or 'SET', k('lots:' .. ARGV[5]), ARGV[14])
  call('SADD', k('positions'), ARGV[5])
  if ARGV[15] ~= '' then call('HSET', k('books'), 'perf', ARGV[15]) end
  if ARGV[16] ~= '' then call('HDEL', k('marks'), ARGV[5]) end
  for i = 22, #ARGV, 2 do add(ARGV[i], ARGV[i + 1]) end
  answer = tostring(v)
end
if ARGV[17] == '' then return {answer, 0} end
local shared = settle(ARGV[17], ARGV[18], ARGV[21])
local marked = mark(ARGV[17], ARGV[19], ARGV[20], ARGV[21])
return type(marked) == 'table' and marked or {answer, shared}
