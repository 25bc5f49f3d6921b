-- Units: those of the keys read. ARGV: commands that only read (msgpack). Returns their replies, all of one instant.
local replies = {}
for k, command in ipairs(cmsgpack.unpack(ARGV[1])) do replies[k] = call(unpack(command)) end
return replies
