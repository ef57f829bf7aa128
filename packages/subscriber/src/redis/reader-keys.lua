--[[
  The reader's keys for one kind and name, from what all sites say about it. Prepended to the scripts that use it.

  heartbeat:reader:<kind>:<name>  hash  site -> what it says, as JSON: ok; at, failed (or absent): { s, text }; expires
  <kind>:<name>:ok                string, expires
  <kind>:<name>:not_ok            string

  Not ok: the not_ok key alone. Ok: the ok key with an expiry, beside a not_ok key that is older by ten minutes or more:
  whichever the reader meets last, it says ok, and once the ok key has expired it says not ok.
]]
-- How far Redis's clock is ahead of ours, in milliseconds: keys expire by Redis's.
local function clock_offset(our_now_ms)
  local now = redis.call("TIME")
  return now[1] * 1000 + math.floor(now[2] / 1000) - tonumber(our_now_ms)
end

-- What a site says, or nil for what nobody of us has written.
local function saying(text)
  local is_json, said = pcall(cjson.decode, text)
  if not is_json or type(said) ~= "table" then return nil end
  local function is_time(time)
    return type(time) == "table" and type(time.s) == "number" and type(time.text) == "string"
  end
  if not is_time(said.at) or (said.failed and not is_time(said.failed)) then return nil end
  if said.ok and type(said.expires) ~= "number" then return nil end
  return said
end

local NEVER = "1970-01-01 00:00:00 UTC"
local OLDER_BY_S = 600

-- at and failed are unix times in whole seconds with their text. entry is nil when the site says nothing about the name
-- any more.
local function tell_reader(name, site, entry)
  local hash = "heartbeat:reader:" .. name
  mend(hash, "hash")
  if entry then
    redis.call("HSET", hash, site, cjson.encode(entry))
  else
    redis.call("HDEL", hash, site)
  end
  local ok_at, ok_expires, failed_at, down_at
  local fields = redis.call("HGETALL", hash)
  for i = 1, #fields, 2 do
    local said = saying(fields[i + 1])
    if not said then
      redis.call("HDEL", hash, fields[i])
    elseif said.ok then
      if not ok_at or said.at.s < ok_at.s then ok_at = said.at end
      if not ok_expires or said.expires < ok_expires then ok_expires = said.expires end
    elseif not down_at or said.at.s > down_at.s then
      down_at = said.at
    end
    if said and said.failed and (not failed_at or said.failed.s > failed_at.s) then failed_at = said.failed end
  end
  local ok_key, not_ok_key = name .. ":ok", name .. ":not_ok"
  if down_at then
    redis.call("SET", not_ok_key, down_at.text)
    redis.call("DEL", ok_key)
  elseif ok_at then
    local is_old = failed_at and ok_at.s - failed_at.s >= OLDER_BY_S
    redis.call("SET", not_ok_key, is_old and failed_at.text or NEVER)
    redis.call("SET", ok_key, ok_at.text)
    redis.call("PEXPIREAT", ok_key, string.format("%.0f", ok_expires))
  else
    redis.call("DEL", ok_key, not_ok_key)
  end
end
