"""Tailscope's core: data, losses, training, scores and runs. It imports no part of the dashboard."""

import os
import time

# OpenMP's threads sleep while they wait for each other, instead of turning in circles: beside another busy program,
# such as a training run beside the dashboard, a small network is a hundred times as fast on two cores.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

STARTED = time.time()
"""When the first module was loaded: one whose file has changed since may not be what runs."""
__version__ = "0.1.0"
