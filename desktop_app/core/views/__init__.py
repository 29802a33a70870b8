"""Functions (scene) -> panels, the view of each step and workspace: arrays, colour scales and labels, no drawing."""
