"""Training of a network: loop, state, optimizer, checkpoints, scoring, memory, several processes."""
