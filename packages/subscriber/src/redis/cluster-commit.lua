--[[
  Replaces the record of a site, unless somebody else did so first. The indexes over all sites lie in other slots.

  KEYS[1]  hash    the site: version, record
  KEYS[2]  stream  the site's events

  ARGV[1]  version that was read, 0 when there was none
  ARGV[2]  record       JSON
  ARGV[3]  events       JSON: list of lists of a stream entry's fields and values
  ARGV[4]  most events

  Returns  1 committed, 0 somebody else was first
]]
local events = cjson.decode(ARGV[3])
local version = version_of(KEYS[1])
if version ~= tonumber(ARGV[1]) then return 0 end
write_record(KEYS[1], version + 1, ARGV[2])
add_events(KEYS[2], events, ARGV[4])
return 1
