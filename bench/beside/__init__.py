"""Single orders beside what is large: very large orders, a very large upload, a running simulation."""
