"""Runs as background processes: queue, worker, training, sweeps, search."""
