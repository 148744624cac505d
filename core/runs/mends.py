"""What mends a failed run: the changes that its own words name, and whether resuming it can help at all."""

from __future__ import annotations

import re
from dataclasses import dataclass

from core.config.parse import differences, with_changes
from core.config.schema import RunConfig
from core.runs.folder import Run
from core.system.errors import UserError

HOPELESS = ("diverged", "memory")
"""Kinds of failure that the same settings meet again."""
SETTING = r"(?:train|model|loss)\.[a-z_]+=[\w.:+-]*\w"
CHANGES = re.compile(rf"{SETTING}(?: and {SETTING})*")


@dataclass(frozen=True)
class Mend:
    """A run that goes round what ended another.

    Attributes:
        words: what is changed, such as `train.learning_rate = 2`.
        config: its settings.
    """

    words: str
    config: RunConfig


def find_mends(run: Run) -> list[Mend]:
    """The changes that a run's reason and advice name as `setting=value`, those of its advice first.

    What is not allowed for its model, or changes nothing, is left out. Empty of a run that has not failed or is not
    lost.
    """
    found: dict[RunConfig, Mend] = {}
    if run.state not in ("failed", "lost") or run.config.combined:
        return []
    for changes in (*CHANGES.findall(run.advice), *CHANGES.findall(run.reason)):
        try:
            config = with_changes(run.config, changes.split(" and "))
        except UserError:
            continue
        if differences(run.config, config):
            found.setdefault(config, Mend(changes.replace("=", " = "), config))
    return list(found.values())


def can_resume(run: Run) -> bool:
    """Whether going on with the same settings can end otherwise than before."""
    no_gpu = run.kind == "refused" and "train.device=cpu" in run.why
    return run.state in ("stopped", "lost") or (run.state == "failed" and run.kind not in HOPELESS and not no_gpu)
