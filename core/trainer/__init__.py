"""Training of a network: the loop, and what stands around it."""
