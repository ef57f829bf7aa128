--[[
  Replaces the record of a site, unless somebody else did so first. The indexes over all sites lie in other slots.

  KEYS[1]  hash    the site: version, record
  KEYS[2]  stream  the site's events

  ARGV[1]  version that was read, 0 when there was none
  ARGV[2]  record       JSON, empty when only events are known
  ARGV[3]  history      JSON: see write_history

  Returns  1 committed, 0 somebody else was first
]]
local history = cjson.decode(ARGV[3])
local version = version_of(KEYS[1])
if version ~= tonumber(ARGV[1]) then return 0 end
write_history(KEYS[1], KEYS[2], history)
write_record(KEYS[1], version + 1, ARGV[2])
return 1
