"""Inputs that nobody wrote, for minutes: `python -m tests.benchmarks.fuzz [--minutes 10] [--only TARGET ...]`.

Each target of `tests.helpers.fuzzed`, and the laws of the losses, get an equal share of the time; Hypothesis draws
other inputs at every run. Prints the cases by target and the smallest input of every crash; exit 1 if there is one.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import HypothesisWarning

from tests.helpers.fuzzed import TARGETS, Target

CASES = 200
"""In a round: after it the clock is looked at."""
LAWS = "laws of losses"
LONG = settings(
    deadline=None,
    max_examples=CASES,
    database=None,
    phases=(Phase.generate, Phase.target, Phase.shrink),
    suppress_health_check=list(HealthCheck),
    print_blob=False,
)


class Tried:
    """Cases of a target, and what crashed: each kind of exception at each line once."""

    def __init__(self) -> None:
        self.cases = 0
        self.crashes: dict[str, str] = {}

    def counted(self, attempt: Callable[..., None]) -> Callable[..., None]:
        def call(*arguments: Any, **named: Any) -> None:
            self.cases += 1
            attempt(*arguments, **named)

        return call

    def round(self, test: Callable[[], None]) -> None:
        """Runs a property once with inputs of its own."""
        try:
            test()
        except Exception as error:  # a crash is what is looked for
            place = traceback.extract_tb(error.__traceback__)[-1]
            kind = f"{type(error).__name__} at {Path(place.filename).name}:{place.lineno}"
            notes = " ".join(getattr(error, "__notes__", ()))[:600]
            self.crashes.setdefault(kind, f"{str(error)[:300]} {notes}")


def make_rounds(target: Target, tried: Tried, place: Path) -> Iterator[Callable[[], None]]:
    """The same property again and again."""
    target.prepare(place)
    attempt = tried.counted(target.attempt)
    while True:

        @LONG
        @given(st.data())
        def test(data: st.DataObject) -> None:
            made = data.draw(target.inputs, label="input")
            attempt(made, place)

        yield test


def make_law_rounds(tried: Tried) -> Iterator[Callable[[], None]]:
    """Each law of the losses in turn."""
    modules = [importlib.import_module(f"tests.losses.{name}") for name in ("test_long_tail", "test_others")]
    modules.append(importlib.import_module("tests.losses.test_in_models"))
    laws = {one.__qualname__: one for module in modules for one in vars(module).values() if hasattr(one, "hypothesis")}
    for one in laws.values():
        one.hypothesis.inner_test = tried.counted(one.hypothesis.inner_test)
    while True:
        for one in laws.values():
            yield one


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--only", nargs="+", choices=[*TARGETS, LAWS], default=[*TARGETS, LAWS])
    asked = parser.parse_args()
    warnings.simplefilter("ignore", HypothesisWarning)
    found: dict[str, Tried] = {}
    share = 60 * asked.minutes / len(asked.only)
    for name in asked.only:
        found[name] = tried = Tried()
        with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
            os.environ["TAILSCOPE_CACHE"] = folder
            place, until = Path(folder), time.monotonic() + share
            rounds = make_law_rounds(tried) if name == LAWS else make_rounds(TARGETS[name], tried, place)
            for test in rounds:
                tried.round(test)
                if time.monotonic() > until:
                    break
        print(f"{name:20} {tried.cases:>9,} cases {len(tried.crashes):>3} crashes", flush=True)
        for kind, words in tried.crashes.items():
            print(f"    {kind}: {words}", flush=True)
    cases, crashes = (sum(len(one.crashes) if k else one.cases for one in found.values()) for k in (0, 1))
    print(f"{'all':20} {cases:>9,} cases {crashes:>3} crashes")
    return int(crashes > 0)


if __name__ == "__main__":
    sys.exit(main())
