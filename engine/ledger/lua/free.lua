-- Units: members of soft holds. ARGV: fields (msgpack), most members to free. Returns how many were freed.
local now = now_ms()
return free(due_of(cmsgpack.unpack(ARGV[1]), now), now, tonumber(ARGV[2]))
