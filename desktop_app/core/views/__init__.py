"""The view of each step: (scene) -> panels. There are no widgets or drawing here, only arrays, levels and labels."""
