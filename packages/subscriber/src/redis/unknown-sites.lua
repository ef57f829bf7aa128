--[[
  No knowledge is not ok: while no site is known, service:heartbeat says so to the reader; while an expected one is not,
  service:heartbeat-<site> does. Told in the name of a site that cannot exist, the empty one.

  KEYS[1]  set  all sites
  KEYS[2]  set  names that are told at present

  ARGV[1]   now, unix time in whole seconds
  ARGV[2]   the same as the reader writes it
  ARGV[3…]  expected sites
]]
local wanted = {}
if redis.call("SCARD", KEYS[1]) == 0 then wanted["service:heartbeat"] = true end
for i = 3, #ARGV do
  if redis.call("SISMEMBER", KEYS[1], ARGV[i]) == 0 then wanted["service:heartbeat-" .. ARGV[i]] = true end
end
for _, name in ipairs(redis.call("SMEMBERS", KEYS[2])) do
  if not wanted[name] then
    redis.call("SREM", KEYS[2], name)
    tell_reader(name, "", nil)
  end
end
for name in pairs(wanted) do
  local is_new = redis.call("SADD", KEYS[2], name) == 1
  if is_new or redis.call("EXISTS", name .. ":not_ok") == 0 then
    tell_reader(name, "", { ok = false, at = { s = tonumber(ARGV[1]), text = ARGV[2] } })
  end
end
return redis.status_reply("OK")
