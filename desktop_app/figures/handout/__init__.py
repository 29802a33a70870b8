"""A hand-out: steps of a pass as one HTML file that needs no network and responds to pointer, keyboard and sliders."""
