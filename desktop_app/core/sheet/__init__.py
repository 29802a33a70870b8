"""The whole pass on one sheet: where each tensor lies, what a pixel of it represents, and how the camera moves."""
