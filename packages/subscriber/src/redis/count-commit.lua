--[[ Counts a commit, of whatever site. Prepended to the scripts that use it. ]]
local function count_commit(counter)
  -- It begins anew with the time, so that it is not what it was before Redis lost its data.
  mend(counter, "string")
  if not tonumber(redis.call("GET", counter) or "") then redis.call("SET", counter, redis.call("TIME")[1] .. "000000") end
  redis.call("INCR", counter)
end
