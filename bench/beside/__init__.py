"""Large beside small: what a very large order, and a very large upload, do to single orders that come meanwhile."""
