"""The program itself: its settings, files, logs and worker processes."""
