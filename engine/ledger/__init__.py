"""Live stock and decisions behind one port, kept in memory or in Redis. Start at `port`."""
