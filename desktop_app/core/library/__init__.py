"""The model library: which models there are, on this machine and on the hub, what they need, and how to fetch them."""
