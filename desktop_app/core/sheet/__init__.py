"""The whole pass on one sheet: where each tensor lies, what a pixel of it stands for, and how one travels over it."""
