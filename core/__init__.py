"""Tailscope's core: data, losses, training, scores and runs. It imports no part of the dashboard."""

__version__ = "0.1.0"
