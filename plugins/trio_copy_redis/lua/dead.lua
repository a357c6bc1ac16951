-- every dead letter of the shard, oldest first
local ids, about = {}, {}
for _, entry in ipairs(call('XRANGE', k('dead'), '-', '+')) do
  ids[#ids + 1] = entry[2][2]
  about[#about + 1] = {entry[2][2], entry[2][4], entry[2][6]}
end
return {rows(ids), about}
