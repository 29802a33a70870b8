"""The view of every step: (scene) -> panels. No widget and no drawing here, only arrays, levels and labels."""
