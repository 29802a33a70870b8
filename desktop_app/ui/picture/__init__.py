"""What draws pictures in the window, moves them, and can be pointed at."""
