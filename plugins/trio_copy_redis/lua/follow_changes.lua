-- 2 since: the version, what changed after it, and whether the log still reaches back that far
local v = tonumber(call('GET', k('follows:v')) or 0)
local since = tonumber(ARGV[2])
if v <= since then return {v, {}, 1} end
local first = call('XRANGE', k('follows:log'), '-', '+', 'COUNT', 1)[1]
local reaches = first and tonumber(string.match(first[1], '^(%d+)')) <= since + 1
local out = {}
if reaches then
  for _, entry in ipairs(call('XRANGE', k('follows:log'), (since + 1) .. '-0', '+')) do
    out[#out + 1] = {string.match(entry[1], '^(%d+)'), entry[2][2], entry[2][4]}
  end
end
return {v, out, reaches and 1 or 0}
