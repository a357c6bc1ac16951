-- 4 key 5 state 6 report or nothing 7 keep ms
if fenced() then return FENCED end
return mark(ARGV[4], ARGV[5], ARGV[6], ARGV[7])
