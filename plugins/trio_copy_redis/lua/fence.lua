-- What every step of an owner begins with. KEYS[1] is the shard: t(oken) of its owner, n(umber) of its last write, e(poch),
-- drawn at each taking, c(heckpoint); facts, ms and top of the log of facts.
local call = redis.call
local FENCED = redis.error_reply('FENCED this shard has another owner now')
local function fenced(token)
  local known = call('HGET', KEYS[1], 't')
  return known and tonumber(known) > tonumber(token)
end
