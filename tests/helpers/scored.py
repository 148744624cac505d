"""Finished runs made from scores instead of training: what tables, pages and archives have to show."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from core.config.schema import LossConfig, ModelConfig, RunConfig
from core.labels.groups import Borders
from core.metrics import label_sets
from core.runs import folder, layout, predictions
from core.runs.folder import Run
from core.runs.predictions import Predictions
from core.system.files import write_json

COUNTS = np.array([90, 60, 40, 20, 12, 9, 8, 3, 1, 0])
LABELS = [f"label {i}" for i in range(10)]
DOCUMENTS = 200
BORDERS = Borders(35, 8)


def make_run(
    loss: str | None = "db",
    seed: int = 0,
    *,
    quality: float = 2.0,
    name: str = "",
    borders: Borders = BORDERS,
    **model: Any,
) -> Run:
    """A finished run whose scores tell true from false the better the higher `quality` is."""
    config = RunConfig(
        model=ModelConfig(name="tfidf" if loss else "svm", **model),
        loss=LossConfig(name=loss) if loss else None,
        seed=seed,
    )
    path = layout.runs_dir() / (name or folder.run_id(config, "f"))
    path.mkdir(parents=True)
    truth = np.random.default_rng(0).random((DOCUMENTS, 10)) < np.maximum(COUNTS, 3) / 300
    noise = np.random.default_rng([seed, len(loss or "")]).normal(0, 1, truth.shape)
    scores = (1 / (1 + np.exp(-quality * (2 * truth - 1) - noise))).astype(np.float16)
    targets, predicted = sp.csr_array(truth), sp.csr_array(scores > 0.5)
    write_json(path / "config.json", config.model_dump())
    write_json(path / "status.json", {"state": "finished", "submitted": 1.0, "ended": 2.0, "command": "python"})
    ids = [str(row) for row in range(DOCUMENTS)]
    predictions.write_predictions(path, Predictions(ids, np.arange(DOCUMENTS), targets, scores, 0.5))
    predictions.write_predictions(path, Predictions(ids, np.arange(DOCUMENTS), targets, scores, 0.5), "validation")
    write_json(
        path / "metrics.json",
        {
            "threshold": 0.5,
            "threshold_rule": "fixed",
            "test": label_sets.score_groups(targets, predicted, COUNTS, borders),
            "validation": label_sets.score_groups(targets, predicted, COUNTS, borders),
            "labels": LABELS,
            "counts": COUNTS.tolist(),
            "borders": borders.as_json(),
            "fingerprint": "f" * 64,
            "source": "/somewhere/data.tar.gz",
            "command": f"python -m core train --seed {seed}",
            "versions": {"tailscope": "0.1.0", "numpy": "2"},
            "seconds": 1.5,
        },
    )
    return folder.get_run(path.name)
