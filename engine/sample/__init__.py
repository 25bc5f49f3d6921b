"""A sample world to try the engine on: a US network, a catalogue, stock and orders, all made here from a seed.

Places, distances and tariffs are real; the merchant is not. Nothing is read from disk or fetched.
"""
