--[[
  Makes a site known by its name.

  KEYS[1]  set  all sites

  ARGV[1]  site
  ARGV[2]  most sites

  Returns  1 it is known, 0 there are too many
]]
mend(KEYS[1], "set")
if redis.call("SISMEMBER", KEYS[1], ARGV[1]) == 1 then return 1 end
if redis.call("SCARD", KEYS[1]) >= tonumber(ARGV[2]) then return 0 end
return redis.call("SADD", KEYS[1], ARGV[1])
