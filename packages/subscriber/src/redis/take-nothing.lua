#!lua
--[[
  Does nothing. By its first line, which claims no flag, Redis takes it for a script that writes, and refuses it when it
  would refuse a write: full, read-only, without its disk or its primary.
]]
return 1
