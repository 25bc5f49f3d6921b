"""Tests of the command line, the order files, the sample world and the demo."""
