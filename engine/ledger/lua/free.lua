-- Units: places of soft holds. ARGV: fields (msgpack), about how many places to free. Returns how many were freed.
local now = now_ms()
return free(due_of(cmsgpack.unpack(ARGV[1]), now), '-inf', now, tonumber(ARGV[2]))
