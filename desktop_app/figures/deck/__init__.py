"""The whole walk through a forward pass as one file: slides, a booklet or a film."""
