-- 4 entry key 5 position 6 the version that the caller has read before 7 "all" for the entries of the position
local known = call('HMGET', k('entry:' .. ARGV[4]), 'booking', 'by')
local books = call('HMGET', k('books'), 'v', 'perf')
local entries = {}
if ARGV[7] == 'all' then
  for _, key in ipairs(call('LRANGE', k('entries:' .. ARGV[5]), 0, -1)) do
    entries[#entries + 1] = call('HGET', k('entry:' .. key), 'rec')
  end
end
local v = call('HGET', k('position:' .. ARGV[5]), 'v') or ''
local same = v ~= '' and v == ARGV[6]
return {known[1] or '', known[2] or '', books[1] or '0', books[2] or '', v,
        same and '' or call('HGET', k('position:' .. ARGV[5]), 'rec') or '',
        same and '' or call('GET', k('lots:' .. ARGV[5])) or '', entries}
