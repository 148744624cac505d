"""How many cases a law is tried on: all of them, or fewer between two edits."""

import os

from hypothesis import settings

FEWER = 5 if os.environ.get("TAILSCOPE_QUICK") else 1
"""`make quick` tries one case in so many."""


def law(cases: int) -> settings:
    """Settings of a property: so many cases, without a time limit, as a busy machine is no failure."""
    return settings(deadline=None, max_examples=max(5, cases // FEWER))
