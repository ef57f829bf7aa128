--[[
  Says when the sweep has to come by.

  KEYS[1]  sorted set  sites by the time of their next sweep

  ARGV[1]  site
  ARGV[2]  next sweep  unix time in milliseconds
  ARGV[3]  "NX" to leave alone a time that there is, else "CH"
]]
mend(KEYS[1], "zset")
redis.call("ZADD", KEYS[1], ARGV[3], ARGV[2], ARGV[1])
return redis.status_reply("OK")
