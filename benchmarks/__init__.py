"""Measured comparisons, run by hand: `./run benchmarks.NAME`. Not part of the tests."""

import desktop_app  # imported first: it disables telemetry in libraries, in child processes too

__all__ = ["desktop_app"]
