--[[ A site's record and events: what lies in one slot of a cluster. Prepended to the scripts that use it. ]]
local function version_of(site_key)
  mend(site_key, "hash")
  -- As whoever loads it reads it: Lua takes "inf" and "nan" for numbers.
  return tonumber(string.match(redis.call("HGET", site_key, "version") or "", "^%d+$") or 0)
end

-- An empty record leaves the one that is there.
local function write_record(site_key, version, record)
  redis.call("HSET", site_key, "version", version)
  if record == "" then return end
  redis.call("HSET", site_key, "record", record)
  redis.call("HDEL", site_key, "forgottenAtMs")
  redis.call("PERSIST", site_key)
end

-- Of the oldest entries of a stream, the latest time in their field since that is not after the limit, as text; nil when
-- there is none.
local function latest_since(stream_key, count, limit)
  local latest
  for _, entry in ipairs(redis.call("XRANGE", stream_key, "-", "+", "COUNT", count)) do
    local fields = entry[2]
    for i = 1, #fields, 2 do
      local value = fields[i + 1]
      if fields[i] == "since" and value > (latest or "") and value <= limit then latest = value end
    end
  end
  return latest
end

-- changes: events, a list of lists of a stream entry's fields and values; withdrawn, a list of ids; most, how many events
-- are kept; given_up, the latest time of those that were too many, or nil; latest, the limit for such times; restated, a
-- text, or nil to leave the one that is there. Goes first: what is refused has to be refused before anything is written.
local function write_history(site_key, stream_key, changes)
  mend(stream_key, "stream")
  -- With an id that no entry has, so that a user who lacks a permission fails whatever there is to do.
  redis.call("XDEL", stream_key, "0-0")
  local excess = redis.call("XLEN", stream_key) - #changes.withdrawn + #changes.events - changes.most
  local oldest = latest_since(stream_key, math.max(excess, 1), changes.latest)
  for _, id in ipairs(changes.withdrawn) do redis.call("XDEL", stream_key, id) end
  local before = redis.call("HGET", site_key, "eventsGivenUpTo") or ""
  local given_up = changes.given_up or ""
  if excess > 0 and oldest and oldest > given_up then given_up = oldest end
  if given_up > before then redis.call("HSET", site_key, "eventsGivenUpTo", given_up) end
  for _, fields in ipairs(changes.events) do
    redis.call("XADD", stream_key, "MAXLEN", changes.most, "*", unpack(fields))
  end
  if changes.restated then redis.call("HSET", site_key, "restated", changes.restated) end
end

local function forget_record(site_key, version, stream_key, now_ms, kept_s)
  redis.call("HSET", site_key, "version", version, "forgottenAtMs", now_ms)
  redis.call("HDEL", site_key, "record", "restated", "eventsGivenUpTo")
  redis.call("EXPIRE", site_key, kept_s)
  redis.call("DEL", stream_key)
end
