-- 4 key 5 spent, or "release" 6 keep ms
if fenced() then return FENCED end
return settle(ARGV[4], ARGV[5], ARGV[6])
