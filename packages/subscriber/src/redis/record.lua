--[[ A site's record and events: what lies in one slot of a cluster. Prepended to the scripts that use it. ]]
local function version_of(site_key)
  mend(site_key, "hash")
  return tonumber(redis.call("HGET", site_key, "version") or "0") or 0
end

local function write_record(site_key, version, record)
  redis.call("HSET", site_key, "version", version, "record", record)
  redis.call("HDEL", site_key, "forgottenAtMs")
  redis.call("PERSIST", site_key)
end

-- events is a list of lists of a stream entry's fields and values.
local function add_events(stream_key, events, most)
  mend(stream_key, "stream")
  for _, fields in ipairs(events) do
    redis.call("XADD", stream_key, "MAXLEN", "~", most, "*", unpack(fields))
  end
end

local function forget_record(site_key, version, stream_key, now_ms, kept_s)
  redis.call("HSET", site_key, "version", version, "forgottenAtMs", now_ms)
  redis.call("HDEL", site_key, "record")
  redis.call("EXPIRE", site_key, kept_s)
  redis.call("DEL", stream_key)
end
