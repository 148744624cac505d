"""Progress of a run: written into its status, or not at all."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from core.jobs import pulse
from core.runs import journal
from core.runs.layout import is_gone, stop_flag
from core.system.errors import Gone, Stopped

REPORT_EVERY = 0.5
"""Seconds between two writes of the status while a run makes progress."""


class StatusReporter:
    """Writes the progress of one run into its status, at most once in `REPORT_EVERY` seconds unless asked to."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._next = 0.0
        self._since: tuple[float, float] | None = None

    def report(self, phase: str, fraction: float, **more: Any) -> None:
        """Reports at once; raises `Stopped` if a stop was requested.

        Args:
            phase: in words.
            fraction: done of the whole run, 0 to 1; what lies beyond is cut off.
            more: is stored beside them.
        """
        self._next = time.monotonic() + REPORT_EVERY
        progress = {"phase": phase, "fraction": round(min(max(fraction, 0.0), 1.0), 4), **more}
        if phase == "training":  # a resumed run begins somewhere in the middle
            self._since = self._since or (time.time(), progress["fraction"])
            progress["since"] = self._since
        journal.update_status(self.path, progress=progress)
        self.raise_if_stopped()

    def report_if_due(self, phase: str, fraction: float, **more: Any) -> None:
        """Reports if the last report is old enough."""
        if time.monotonic() >= self._next:
            self.report(phase, fraction, **more)

    def raise_if_stopped(self) -> None:
        """Raises `Stopped` if a stop was requested, and `Gone` if the run's folder was deleted."""
        pulse.beat()
        if stop_flag(self.path).exists():
            raise Stopped
        if is_gone(self.path):
            raise Gone


class SilentReporter:
    """Reports nothing, as every process of a run but the first."""

    def report(self, phase: str, fraction: float, **more: Any) -> None:
        """Does nothing."""

    def report_if_due(self, phase: str, fraction: float, **more: Any) -> None:
        """Does nothing."""

    def raise_if_stopped(self) -> None:
        """Does nothing."""
