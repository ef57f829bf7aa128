--[[
  Deletes what is known of a site, unless somebody else changed it since it was read. That it was forgotten is kept for a
  while: subscribers that remember the site must not write it back. The indexes over all sites lie in other slots.

  KEYS[1]  hash    the site: version, record
  KEYS[2]  stream  the site's events

  ARGV[1]  version that was read
  ARGV[2]  now       unix time in milliseconds
  ARGV[3]  kept for  seconds

  Returns  1 forgotten, 0 somebody else was first
]]
local version = version_of(KEYS[1])
if version ~= tonumber(ARGV[1]) then return 0 end
forget_record(KEYS[1], version + 1, KEYS[2], ARGV[2], ARGV[3])
return 1
