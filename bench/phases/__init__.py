"""Phases of a window x cases x sizes x scarcities, timed one by one: `python -m pytest bench/phases`."""
