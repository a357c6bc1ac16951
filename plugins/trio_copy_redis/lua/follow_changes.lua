-- KEYS 1 version 2 log of changes. ARGV 1 since 2 at most: the version, what changed after since, and whether the log
-- reaches back to it
local version = tonumber(redis.call('GET', KEYS[1]) or 0)
local since = tonumber(ARGV[1])
if version <= since then return {version, {}, 1} end
local first = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1)[1]
local reaches = first and tonumber(string.match(first[1], '^(%d+)')) <= since + 1
local out = {}
if reaches then
  for _, entry in ipairs(redis.call('XRANGE', KEYS[2], (since + 1) .. '-0', '+', 'COUNT', ARGV[2])) do
    out[#out + 1] = {string.match(entry[1], '^(%d+)'), entry[2][2], entry[2][4]}
  end
end
return {version, out, reaches and 1 or 0}
