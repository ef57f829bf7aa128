--[[ Our own keys are ours to mend. Prepended to the scripts that use it. ]]
-- A key of another type than ours is somebody's mistake: with it, no script of ours would ever work again.
local function mend(key, kind)
  local found = redis.call("TYPE", key).ok
  if found ~= "none" and found ~= kind then redis.call("DEL", key) end
end
