"""Inputs that nobody wrote end in a sentence, whatever reads them; `tests.benchmarks.fuzz` tries many more."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.fuzzed import TARGETS
from tests.helpers.laws import law

NAMES = [name for name in TARGETS if name != "losses"]
"""Of losses the laws in `tests.losses` try as much."""


@pytest.mark.parametrize("name", NAMES)
def test_inputs_that_nobody_wrote_are_a_sentence(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = TARGETS[name]
    monkeypatch.setenv("TAILSCOPE_CACHE", str(tmp_path / "cache"))  # which targets set themselves
    target.prepare(tmp_path)

    @law(8)
    @given(st.data())
    def attempt(data: st.DataObject) -> None:
        target.attempt(data.draw(target.inputs), tmp_path)

    attempt()
