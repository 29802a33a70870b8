"""Edits of a pass: what can be edited, how it is written, and what it may change."""
