--[[
  KEYS[1]  set  all sites
  KEYS[2]  set  names that are told at present

  ARGV[1]   now, unix time in whole seconds
  ARGV[2]   the same as the reader writes it
  ARGV[3…]  expected sites
]]
mend(KEYS[1], "set")
mend(KEYS[2], "set")
tell_unknown_sites(KEYS[1], KEYS[2], ARGV[1], ARGV[2], { unpack(ARGV, 3) })
return redis.status_reply("OK")
