-- What everybody shares. KEYS[1] is the common tag; ARGV[1]: the time.
--
--   modes          by scope; modes:v their version            follows   by follower and leader; follows:v, follows:log
--   instances      by name; drains: who was asked to drain    followers everybody who ever had an order or a booking
--   resolutions    by condition                               shape     how many shards there are, and since when
local P, now, NOW = KEYS[1], tonumber(ARGV[1]), ARGV[1]
local call = redis.call
local function k(name) return P .. ':' .. name end
