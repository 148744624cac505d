"""Where the numbers of a run come from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from core.analysis import what_if
from core.metrics import thresholds
from core.runs.plan import command_again
from core.runs.tfidf_scorer import WEIGHTS
from pages.shared.loaders import load_metrics
from pages.shared.runs import show_export, show_members

if TYPE_CHECKING:
    from core.runs.folder import Run
    from pages.sections.errors.chosen import Shown


def show(shown: Shown) -> None:
    """Where the numbers of a run come from: threshold, data, software, settings, command."""
    run, metrics = shown.run, load_metrics(shown.run)
    st.dataframe(
        {
            "what": ["threshold", "its rule", "head from", "tail up to", "data fingerprint", "seconds", "published"],
            "value": [
                what_if.limits_in_words(thresholds.of_values(metrics["threshold"])),
                metrics["threshold_rule"],
                str(metrics["borders"]["head"]),
                str(metrics["borders"]["tail"]),
                metrics["fingerprint"],
                f"{metrics['seconds']:.1f}",
                describe_published(run),
            ],
        },
        hide_index=True,
        alt="Threshold, rule, borders, data and time of the run",
    )
    if run.config.combined:
        show_members(run.config.combined)
    show_export(run)
    st.caption("The command that makes this run again.")
    st.code(command_again(run.config, metrics["command"]), language="bash", wrap_lines=True)
    left, right = st.columns(2)
    left.json(run.config.model_dump(exclude_none=True), expanded=2)
    right.json(metrics["versions"])


def describe_published(run: Run) -> str:
    """Whether a run came with Tailscope, and whether its weights did."""
    if not run.published:
        return "no"
    which = "with its weights" if (run.path / WEIGHTS).exists() else "results without weights"
    return f"yes: {which}, as it came with Tailscope"
