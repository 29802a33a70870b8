"""Dialogs, and what they start."""
