--[[
  Has a site say nothing any more about a name of the reader's keys, unless somebody else changed the site since it was
  read: it may say something about the name by now.

  KEYS[1]  hash  the site: version, record

  ARGV[1]  site
  ARGV[2]  name     "<kind>:<name>"
  ARGV[3]  version  that was read, 0 when there was none

  Returns  1 withdrawn, 0 somebody else was first
]]
if version_of(KEYS[1]) ~= tonumber(ARGV[3]) then return 0 end
tell_reader(ARGV[2], ARGV[1], nil)
return 1
