"""From scores to a finished run: thresholds fitted on validation, predictions, and the metrics of both parts."""

from __future__ import annotations

import platform
import resource
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from core import __version__
from core.labels.groups import Borders
from core.metrics import label_sets, summary, thresholds
from core.runs.predictions import Predictions, write_predictions
from core.system.files import write_json


@dataclass(frozen=True)
class Part:
    """The scores of the validation or the test part: n documents, L labels.

    Attributes:
        ids: of the documents in the collection, n of them.
        rows: in the corpus, (n,).
        targets: (n, L) bool.
        scores: (n, L), as they are stored.
    """

    ids: list[str]
    rows: np.ndarray
    targets: sp.csr_array
    scores: np.ndarray | sp.csr_array


@dataclass(frozen=True)
class About:
    """What a run's scores are scores of.

    Attributes:
        labels: names, L of them.
        counts: training documents of each label, (L,).
        borders: of head, medium and tail.
        fingerprint: of the data.
        source: where they were read.
        documents: of each part; of `train`, all that propensities need.
    """

    labels: Sequence[str]
    counts: np.ndarray
    borders: Borders
    fingerprint: str
    source: str
    documents: Mapping[str, int]


def write_outcome(
    path: Path,
    parts: Mapping[str, Part],
    about: About,
    *,
    rule: str,
    command: str,
    began: float,
    more: Mapping[str, Any],
    memory: int | None = None,
) -> dict[str, Any]:
    """Fits the thresholds and writes the predictions of both parts, then `metrics.json`: with it a run has results.

    Args:
        path: the run's folder.
        parts: `validation`, from which alone the thresholds are, and `test`.
        about: the data.
        rule: of `core.metrics.thresholds.fit`.
        command: that makes the run again.
        began: by `time.monotonic`, for the seconds of the run.
        more: entries of `metrics.json` that not every run has.
        memory: bytes that the run held at most, if they were its own.

    Returns:
        Scores of each part by frequency group.
    """
    # Thresholds, as the files hold them.
    validation, test = parts["validation"], parts["test"]
    limits = thresholds.values_of(thresholds.fit(validation.targets, validation.scores, rule=rule))
    threshold = thresholds.of_values(limits)
    # What is predicted, and how right it is.
    predicted = {part: thresholds.apply(one.scores, threshold) for part, one in parts.items()}
    results = {
        part: label_sets.score_groups(one.targets, predicted[part], about.counts, about.borders)
        for part, one in parts.items()
    }
    # Files.
    for part, one in parts.items():
        write_predictions(path, Predictions(one.ids, one.rows, one.targets, one.scores, threshold), part)
    scores = summary.score_all(
        test.targets,
        test.scores,
        predicted["test"],
        counts=about.counts,
        documents=about.documents["train"],
        borders=about.borders,
    )
    write_json(
        path / "metrics.json",
        {
            "threshold": limits,
            "threshold_rule": rule,
            **results,
            "labels": list(about.labels),
            "counts": about.counts.tolist(),
            "borders": about.borders.as_json(),
            "fingerprint": about.fingerprint,
            "source": about.source,
            "command": command,
            "versions": _versions(),
            **more,
            "scores": scores,
            "documents": dict(about.documents),
            **({} if memory is None else {"memory": memory}),
            "seconds": round(time.monotonic() - began, 3),
        },
    )
    return results


def peak_memory() -> int:
    """Bytes that this process held at most; macOS counts in bytes, Linux in KiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def _versions() -> dict[str, str]:
    """Of this program, Python and the packages that numbers depend on."""
    packages = ("torch", "numpy", "scipy", "scikit-learn", "transformers")
    return {"tailscope": __version__, "python": platform.python_version()} | {name: version(name) for name in packages}
