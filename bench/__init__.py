"""Measurements: cost and speed on real and generated orders."""
