--[[
  No knowledge is not ok: while no site is known, service:heartbeat says so to the reader; while an expected one is not, or
  what was known of one is lost, service:heartbeat-<site> does. Told in the name of a site that cannot exist, the empty
  one. Prepended to the scripts that use it.

  sites_key  set   all sites
  told_key   set   names that are told at present
  now_s      unix time in whole seconds
  now_text   the same as the reader writes it
  expected   list of sites
]]
local function tell_unknown_sites(sites_key, told_key, now_s, now_text, expected)
  local wanted = {}
  local sites = redis.call("SMEMBERS", sites_key)
  if #sites == 0 then wanted["service:heartbeat"] = true end
  for _, site in ipairs(sites) do
    local key = "heartbeat:{" .. site .. "}:site"
    if redis.call("TYPE", key).ok ~= "hash" or redis.call("HEXISTS", key, "record") == 0 then
      wanted["service:heartbeat-" .. site] = true
    end
  end
  for _, site in ipairs(expected) do
    if redis.call("SISMEMBER", sites_key, site) == 0 then wanted["service:heartbeat-" .. site] = true end
  end
  for _, name in ipairs(redis.call("SMEMBERS", told_key)) do
    if not wanted[name] then
      redis.call("SREM", told_key, name)
      tell_reader(name, "", nil)
    end
  end
  for name in pairs(wanted) do
    local is_new = redis.call("SADD", told_key, name) == 1
    if is_new or redis.call("EXISTS", name .. ":not_ok") == 0 then
      tell_reader(name, "", { ok = false, at = { s = tonumber(now_s), text = now_text } })
    end
  end
end
