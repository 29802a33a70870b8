"""Inputs from outside, changed at random by their structure, against every parser that reads such: `./run fuzz`."""

import desktop_app  # first of all: it tells libraries not to phone home

__all__ = ["desktop_app"]
