"""The state, its history, and its files."""
