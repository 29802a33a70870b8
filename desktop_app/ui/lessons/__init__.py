"""Stories told in the window, and lecture mode."""
