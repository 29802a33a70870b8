"""The model library: what models there are, here and on the hub, what they need, and how they get here."""
