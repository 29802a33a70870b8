"""Measured comparisons, run by hand: `./run benchmarks.NAME`. Not part of the tests."""

import desktop_app  # first of all: it tells libraries not to phone home, also in what is started from here

__all__ = ["desktop_app"]
