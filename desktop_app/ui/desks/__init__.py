"""The state, and what is computed for it outside the window's thread."""
