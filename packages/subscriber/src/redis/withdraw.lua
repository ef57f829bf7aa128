--[[
  Has a site say nothing any more about names of the reader's keys.

  ARGV[1]   site
  ARGV[2…]  names  "<kind>:<name>"
]]
for i = 2, #ARGV do
  tell_reader(ARGV[i], ARGV[1], nil)
end
return redis.status_reply("OK")
