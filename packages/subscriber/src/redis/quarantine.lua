--[[
  Keeps messages that are no heartbeats, the newest first.

  KEYS[1]  list

  ARGV[1]   most that are kept
  ARGV[2…]  messages, the newest last
]]
mend(KEYS[1], "list")
for i = 2, #ARGV do
  redis.call("LPUSH", KEYS[1], ARGV[i])
end
redis.call("LTRIM", KEYS[1], 0, ARGV[1] - 1)
return redis.status_reply("OK")
