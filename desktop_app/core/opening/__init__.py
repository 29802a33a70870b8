"""Opening a number: what it was computed from, in words and pictures, and as numpy code."""
