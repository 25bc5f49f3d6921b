-- Units: SKUs as names. ARGV: a name, how many. Returns so many of the stocked SKUs after it, in order; fewer at the end.
return stocked_after(ARGV[1], tonumber(ARGV[2]))
