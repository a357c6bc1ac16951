-- 4 the entry of the history to start below, or "+" 5 how many: tasks by their admission, newest first
local from = ARGV[4] == '+' and '+' or '(' .. ARGV[4]
local ids, last = {}, ''
for _, entry in ipairs(call('XREVRANGE', k('history'), from, '-', 'COUNT', ARGV[5])) do
  ids[#ids + 1] = entry[2][2]
  last = entry[1]
end
return {rows(ids), last}
