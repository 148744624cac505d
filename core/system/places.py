"""Where the checkout and the cache lie."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def cache_dir() -> Path:
    """Folder of prepared data and runs: `TAILSCOPE_CACHE`, else `cache/` beside the code."""
    return _make_path(os.environ.get("TAILSCOPE_CACHE") or f"{ROOT}/cache")


@lru_cache(maxsize=8)
def _make_path(text: str) -> Path:
    """A path, made once: listing a thousand runs asks for it a thousand times."""
    return Path(text)
