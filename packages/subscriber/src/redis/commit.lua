--[[
  Replaces the record of a site, unless somebody else did so first.

  KEYS[1]  hash        the site: version, record
  KEYS[2]  set         all sites
  KEYS[3]  sorted set  sites whose silence is not written, by deadline

  ARGV[1]  version that was read, 0 when there was none
  ARGV[2]  site
  ARGV[3]  record          JSON
  ARGV[4]  deadline        unix time in milliseconds, "" when the silence is written
  ARGV[5]  most sites
  ARGV[6]  reader's keys   JSON: list of { name = "<kind>:<name>", entry = { … } or absent }

  Returns  1 committed, 0 somebody else was first, -1 too many sites
]]
local version = tonumber(redis.call("HGET", KEYS[1], "version") or "0")
if version ~= tonumber(ARGV[1]) then return 0 end
local site = ARGV[2]
local is_new = redis.call("SISMEMBER", KEYS[2], site) == 0
if is_new and redis.call("SCARD", KEYS[2]) >= tonumber(ARGV[5]) then return -1 end

redis.call("HSET", KEYS[1], "version", version + 1, "record", ARGV[3])
redis.call("SADD", KEYS[2], site)
if ARGV[4] == "" then
  redis.call("ZREM", KEYS[3], site)
else
  redis.call("ZADD", KEYS[3], ARGV[4], site)
end
for _, told in ipairs(cjson.decode(ARGV[6])) do
  tell_reader(told.name, site, told.entry)
end
return 1
