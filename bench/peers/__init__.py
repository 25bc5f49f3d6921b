"""Our engine and its peers, measured in one run on the same orders, the same stock and the same durability."""
