"""The literature's experiments on deciding well, run on the engine's own code."""
