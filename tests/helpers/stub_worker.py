"""A worker without torch: the real one with its queue, locks, status and files, where training is a clock that ticks.

`core.jobs.launch` starts it where `TAILSCOPE_WORKER` names this module. The scores of a run come from its seed and from
the truth, so they are the same at every time, and results are written, thresholded and measured by the real code. A
learning rate above 1e6 diverges; where `TAILSCOPE_REFUSE` is set, every run is refused.
"""

from __future__ import annotations

import os
import sys
import time
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from core.config.schema import RunConfig
from core.data.corpus import Corpus
from core.runs import folder, journal, layout
from core.system.errors import Diverged, Stopped, UserError

TRAINING = "core.jobs.training"
"""The module that this one stands in for: it brings torch."""
EPOCH_SECONDS = 0.02
MANY, LATER_SECONDS = 100, 0.2
"""After so many epochs each takes so long: a run that is there to be stopped leaves the processor to others."""


def fit(config: RunConfig, corpus: Corpus, *_: Any) -> SimpleNamespace:
    """Waits for a moment an epoch and writes what a run writes then; scores by chance, better for true labels."""
    path, began = folder.run_path(folder.run_id(config, corpus.fingerprint)), time.monotonic()
    epochs = 0 if config.model.name == "svm" else config.train.epochs
    line: dict[str, Any] = {"steps": 1, "documents_per_second": 1000.0, "memory": 10**8, "learning_rate": 0.001}
    score = {"micro_f1": 0.5, "macro_f1": 0.25}
    for epoch in range(1, epochs + 1):
        if os.environ.get("TAILSCOPE_REFUSE"):
            raise UserError("Refused, as the test wants it.")
        if config.train.learning_rate > 1e6:
            raise Diverged("The loss stopped being a number", epoch=epoch, step=1)
        if layout.stop_flag(path).exists():
            raise Stopped
        time.sleep(EPOCH_SECONDS if epoch <= MANY else LATER_SECONDS)
        progress = {"phase": "training", "fraction": epoch / epochs, "epoch": epoch, "epochs": epochs}
        journal.update_status(path, progress=progress)
        line |= {"epoch": epoch, "step": 1, "train_loss": 1 / epoch, "gradient_norm": 1.0}
        journal.append_step(path, line)
        entry = {"validation": {"all": score, "head": score, "medium": score, "tail": score}, "best": epoch == 1}
        journal.append_history(path, line | entry | {"seconds": round(time.monotonic() - began, 3)})
    chance, scores = np.random.default_rng(config.seed), {}
    for part in ("validation", "test"):
        truth = corpus.targets_of(part).toarray()
        scores[part] = (0.4 * truth + 0.6 * chance.random(truth.shape)).astype(np.float16)
    return SimpleNamespace(scores=scores, weights={}, save=lambda _: None, more={})


def stand_in() -> None:
    """Puts what has no torch in the place of what brings it."""
    training, weights = ModuleType(TRAINING), ModuleType("safetensors.torch")
    training.__dict__.update(fit=fit)
    weights.__dict__.update(save_file=lambda _, path: save_file({"stub": np.zeros(1)}, path))
    sys.modules |= {TRAINING: training, "safetensors.torch": weights}


if __name__ == "__main__":
    from core.cli.main import main

    stand_in()
    main()
