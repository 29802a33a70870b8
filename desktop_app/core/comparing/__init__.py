"""Two passes beside each other, and their difference."""
