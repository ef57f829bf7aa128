#!lua
--[[
  Our own keys are ours to mend. Prepended to the scripts that use it.

  By the first line Redis refuses all of such a script when it would refuse a write. Without it, it looks at the first
  write alone: a script that begins with an XDEL, which frees memory, would go on to fill a Redis that is full.
]]
-- A key of another type than ours is somebody's mistake: with it, no script of ours would ever work again.
local function mend(key, kind)
  local found = redis.call("TYPE", key).ok
  if found ~= "none" and found ~= kind then redis.call("DEL", key) end
end
