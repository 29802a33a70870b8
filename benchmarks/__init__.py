"""Measured comparisons, run by hand: `python -m benchmarks.NAME`. Not part of the tests."""
