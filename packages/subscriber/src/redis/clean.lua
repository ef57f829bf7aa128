--[[
  Deletes a key of the old reader that was left behind, unless it has changed since it was seen.

  KEYS[1]  string  the key
  KEYS[2]  hash    what the sites say about its name

  ARGV[1]  value that was seen

  Returns  1 deleted, 0 left alone
]]
if redis.call("TYPE", KEYS[1]).ok ~= "string" then return 0 end
if redis.call("GET", KEYS[1]) ~= ARGV[1] or redis.call("EXISTS", KEYS[2]) == 1 then return 0 end
return redis.call("DEL", KEYS[1])
