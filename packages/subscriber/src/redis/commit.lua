--[[
  Replaces the record of a site, unless somebody else did so first.

  KEYS[1]  hash        the site: version, record
  KEYS[2]  set         all sites
  KEYS[3]  sorted set  sites by the time of their next sweep
  KEYS[4]  number      counts the commits of all sites
  KEYS[5]  stream      the site's events

  ARGV[1]  version that was read, 0 when there was none
  ARGV[2]  site
  ARGV[3]  record          JSON, empty when only events are known
  ARGV[4]  next sweep      unix time in milliseconds
  ARGV[5]  most sites
  ARGV[6]  reader's keys   JSON: list of { name = "<kind>:<name>", entry = { … } or absent }
  ARGV[7]  history         JSON: see write_history
  ARGV[8]  now by our clock  unix time in milliseconds

  Returns  1 committed, 0 somebody else was first, -1 too many sites
]]
-- Whatever can fail comes before the first write: Redis does not take back what a failing script wrote.
local told_names = cjson.decode(ARGV[6])
local history = cjson.decode(ARGV[7])
local offset = clock_offset(ARGV[8])
mend(KEYS[2], "set")
mend(KEYS[3], "zset")
local version = version_of(KEYS[1])
if version ~= tonumber(ARGV[1]) then return 0 end
local site = ARGV[2]
-- A user who may not touch the reader's keys fails here: a record without them would be known to /health alone.
for _, told in ipairs(told_names) do redis.call("EXISTS", told.name .. ":ok", told.name .. ":not_ok") end
local is_new = redis.call("SISMEMBER", KEYS[2], site) == 0
if is_new and redis.call("SCARD", KEYS[2]) >= tonumber(ARGV[5]) then return -1 end

write_history(KEYS[1], KEYS[5], history)
write_record(KEYS[1], version + 1, ARGV[3])
redis.call("SADD", KEYS[2], site)
if ARGV[3] ~= "" then redis.call("ZADD", KEYS[3], ARGV[4], site) end
count_commit(KEYS[4])
for _, told in ipairs(told_names) do
  if told.entry then told.entry.expires = told.entry.expires + offset end
  tell_reader(told.name, site, told.entry)
end
return 1
