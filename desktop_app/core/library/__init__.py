"""The model library: models on this machine and on the hub, the memory that they need, and how to fetch them."""
