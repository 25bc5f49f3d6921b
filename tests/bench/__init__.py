"""Tests of the benchmarks' recipes and judges."""
