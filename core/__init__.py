"""Tailscope's core: data, losses, training, scores and runs. It imports no part of the dashboard."""

import os

# OpenMP's threads sleep while they wait for each other, instead of turning in circles: beside another busy program,
# such as a training run beside the dashboard, a small network is a hundred times as fast on two cores.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__version__ = "0.1.0"
