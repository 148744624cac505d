"""Scores of a run's validation and test documents, as arrays without pickle."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from core.metrics.thresholds import Limits, of_values
from core.runs.folder import Run
from core.system.errors import UserError
from core.system.files import atomic_path


@dataclass(frozen=True)
class Predictions:
    """Scores of the test part, or of the validation part: n documents, L labels.

    Attributes:
        ids: the documents' ids in the collection, n of them.
        rows: their row numbers in the corpus, (n,).
        targets: (n, L) bool.
        scores: (n, L) float16, dense, or a CSR of each document's highest where L > `DENSE_LABELS`.
        threshold: a label is predicted where its score is above it: one for all labels, or one each, (L,).
    """

    ids: list[str]
    rows: np.ndarray
    targets: sp.csr_array
    scores: np.ndarray | sp.csr_array
    threshold: Limits


PREDICTIONS = {"test": "predictions.npz", "validation": "validation.npz"}
"""File with the scores of each part."""


def write_predictions(path: Path, predictions: Predictions, part: str = "test") -> None:
    """Writes the scores of a part: arrays only, no pickled objects.

    Args:
        path: the run's folder.
        predictions: the scores.
        part: a key of `PREDICTIONS`.
    """
    scores = predictions.scores
    arrays: dict[str, Any] = {
        "ids": np.array(predictions.ids, dtype=np.str_),
        "rows": predictions.rows.astype(np.int64),
        "shape": np.array(predictions.targets.shape, dtype=np.int64),
        "target_indptr": predictions.targets.indptr,
        "target_indices": predictions.targets.indices,
        "threshold": np.array(predictions.threshold, dtype=np.float64),
    }
    if isinstance(scores, sp.csr_array):
        arrays |= {"score_indptr": scores.indptr, "score_indices": scores.indices, "score_data": scores.data}
        # Half the bytes where they hold the same numbers.
        if (scores.data == scores.data.astype(np.float16)).all():
            arrays["score_data"] = scores.data.astype(np.float16)
    else:
        arrays["scores"] = scores
    with atomic_path(path / PREDICTIONS[part]) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def read_predictions(run: Run, part: str = "test") -> Predictions:
    """The scores of a part.

    Args:
        run: a finished run.
        part: a key of `PREDICTIONS`.

    Raises:
        UserError: missing, cut short, inconsistent, or with scores that are no numbers.
    """
    name = PREDICTIONS[part]
    try:
        # numpy leaves a file open that it opened itself and could not read.
        with (run.path / name).open("rb") as file, np.load(file, allow_pickle=False) as stored:
            # Arrays, sparse or dense.
            shape = tuple(int(size) for size in stored["shape"])
            targets = _csr(np.ones(len(stored["target_indices"]), bool), stored, "target", shape)
            if "scores" in stored:
                scores: np.ndarray | sp.csr_array = stored["scores"]
            else:
                scores = _csr(stored["score_data"].astype(np.float32), stored, "score", shape)
            # Checks: shapes, then numbers.
            ids, rows = stored["ids"].tolist(), stored["rows"]
            if scores.shape != shape or len(ids) != shape[0] or rows.shape != shape[:1] or rows.dtype.kind != "i":
                raise ValueError("its arrays do not fit together")
            values = scores.data if isinstance(scores, sp.csr_array) else scores
            if not np.isfinite(values).all():
                raise ValueError(f"{np.sum(~np.isfinite(values))} of its scores are not numbers")
            limits = np.asarray(stored["threshold"], dtype=np.float64)
            if not np.isfinite(limits).all() or limits.shape not in ((), shape[1:]):
                raise ValueError("its threshold is no number")
            return Predictions(ids, rows, targets, scores, of_values(limits))
    except FileNotFoundError:
        more = ": an older version made the run" if part == "validation" else ""
        raise UserError(f"{run.id}: {name} is missing{more}.") from None
    except (OSError, ValueError, TypeError, IndexError, KeyError, EOFError, MemoryError, zipfile.BadZipFile) as error:
        raise UserError(f"{run.id}: {name} is damaged ({error}). Delete the run and train it again.") from None


def _csr(data: np.ndarray, stored: Any, name: str, shape: tuple[int, ...]) -> sp.csr_array:
    """A CSR of stored indices; `ValueError` where they make none of this shape."""
    matrix = sp.csr_array((data, stored[f"{name}_indices"], stored[f"{name}_indptr"]), shape=shape)
    matrix.check_format(full_check=True)
    return matrix
