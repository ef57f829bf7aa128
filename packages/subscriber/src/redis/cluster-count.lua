--[[ KEYS[1]  number  counts the commits of all sites ]]
count_commit(KEYS[1])
return redis.status_reply("OK")
