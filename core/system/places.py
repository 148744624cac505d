"""Where the checkout and the cache lie."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def cache_dir() -> Path:
    """Folder of prepared data and runs: `TAILSCOPE_CACHE`, else `cache/` beside the code."""
    return Path(os.environ.get("TAILSCOPE_CACHE") or ROOT / "cache")
