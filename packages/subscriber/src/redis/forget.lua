--[[
  Deletes all that is known of a site, unless somebody else changed it since it was read. That it was forgotten is kept
  for a while: subscribers that remember the site must not write it back.

  KEYS[1]  hash        the site: version, record
  KEYS[2]  set         all sites
  KEYS[3]  sorted set  sites by the time of their next sweep
  KEYS[4]  number      counts the commits of all sites
  KEYS[5]  stream      the site's events
  KEYS[6]  set         names that tell the reader of unknown sites

  ARGV[1]  version that was read
  ARGV[2]  site
  ARGV[3]  now             unix time in milliseconds
  ARGV[4]  kept for        seconds
  ARGV[5]  reader's names  JSON: list of "<kind>:<name>"
  ARGV[6]  the reader is told of unknown sites   "1" or "0"
  ARGV[7]  now as the reader writes it
  ARGV[8]  expected sites  JSON: list

  Returns  1 forgotten, 0 somebody else was first
]]
local names, expected = cjson.decode(ARGV[5]), cjson.decode(ARGV[8])
local version = version_of(KEYS[1])
if version ~= tonumber(ARGV[1]) then return 0 end
forget_record(KEYS[1], version + 1, KEYS[5], ARGV[3], ARGV[4])
redis.call("SREM", KEYS[2], ARGV[2])
redis.call("ZREM", KEYS[3], ARGV[2])
count_commit(KEYS[4])
for _, name in ipairs(names) do
  tell_reader(name, ARGV[2], nil)
end
-- Not a moment may the reader find no key at all: that reads as ok.
if ARGV[6] == "1" then
  tell_unknown_sites(KEYS[2], KEYS[6], math.floor(ARGV[3] / 1000), ARGV[7], expected)
end
return 1
