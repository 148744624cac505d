"""Tailscope's core: data, losses, training, scores and runs. It imports no part of the dashboard."""

import gc
import os
import sys

# OpenMP's threads sleep while they wait for each other, instead of turning in circles: beside another busy program,
# such as a training run beside the dashboard, a small network is a hundred times as fast on two cores.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Streamlit collects all garbage after every run of a page. What Python collects beside that, on the way, is little, and
# looks hundreds of times at the modules that a first page loads: a tenth of its time.
if "streamlit" in sys.modules:
    gc.set_threshold(50_000, 20, 50)

__version__ = "0.1.0"
