-- 4 the entry of the ledger to start below, or "+" 5 how many: bookings, newest first
local from = ARGV[4] == '+' and '+' or '(' .. ARGV[4]
local out, last = {}, ''
for _, entry in ipairs(call('XREVRANGE', k('ledger'), from, '-', 'COUNT', ARGV[5])) do
  out[#out + 1] = call('HGET', k('entry:' .. entry[2][2]), 'rec') or false
  last = entry[1]
end
return {out, last}
