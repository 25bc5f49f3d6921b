"""The demo: the sample world loaded over HTTP, orders streamed through it, and a rule-based shadow to compare with."""
