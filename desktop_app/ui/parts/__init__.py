"""The parts of the window around the picture: bars, panes and controls."""
