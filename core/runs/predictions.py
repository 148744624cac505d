"""Scores of a run's validation and test documents, as arrays without pickle."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from core.config.defaults import MODELS
from core.metrics.thresholds import Limits, of_values
from core.runs import results
from core.runs.folder import Run
from core.system.arrays import describe, read_arrays
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
        UserError: missing, damaged, or inconsistent in itself or with the run's metrics.
    """
    name = PREDICTIONS[part]
    if not os.path.lexists(run.path / name):
        more = ": an older version made the run" if part == "validation" else ""
        raise UserError(f"{run.id}: {name} is missing{more}.")
    metrics = results.read_metrics(run) if os.path.lexists(run.path / "metrics.json") else {}
    try:
        found = _check(read_arrays(run.path / name))
        _check_range(found, MODELS[run.config.model.name].margins)
        _check_against(found, metrics, part)
    except (ValueError, TypeError, LookupError, ArithmeticError, MemoryError) as error:
        words = describe(error)
        raise UserError(f"{run.id}: {name} is damaged ({words}). Delete the run and train it again.") from None
    return found


def _check(stored: dict[str, np.ndarray]) -> Predictions:
    """Predictions from the arrays of a file.

    Raises:
        ValueError: an array is missing, or of another kind or shape than the others need.
    """
    sparse = ("score_indptr", "score_indices", "score_data")
    needed = ["ids", "rows", "shape", "threshold", "target_indptr", "target_indices"]
    needed += ["scores"] if "scores" in stored else sparse
    if missing := [key for key in needed if key not in stored]:
        raise ValueError(f"it does not hold {', '.join(missing)}")
    kinds = {"ids": "U", "threshold": "fiu", "scores": "f", "score_data": "f"}
    if wrong := [key for key in needed if stored[key].dtype.kind not in kinds.get(key, "iu")]:
        raise ValueError(f"its arrays do not fit together: '{wrong[0]}' holds {stored[wrong[0]].dtype}")
    # Arrays, sparse or dense.
    shape = tuple(int(size) for size in stored["shape"])
    if len(shape) != 2 or not all(0 <= size < 2**31 for size in shape):
        raise ValueError(f"its shape is {shape}")
    targets = _csr(np.ones(len(stored["target_indices"]), bool), stored, "target", shape)
    if "scores" in stored:
        scores: np.ndarray | sp.csr_array = stored["scores"]
    else:
        scores = _csr(stored["score_data"].astype(np.float32), stored, "score", shape)
    # Shapes, then numbers.
    ids, rows = stored["ids"], stored["rows"]
    if scores.shape != shape or ids.shape != shape[:1] or rows.shape != shape[:1]:
        raise ValueError("its arrays do not fit together")
    if len(rows) and not 0 <= rows.min() <= rows.max() < 2**40:
        raise ValueError("its row numbers make no sense")
    values = scores.data if isinstance(scores, sp.csr_array) else scores
    if not np.isfinite(values).all():
        raise ValueError(f"{np.sum(~np.isfinite(values))} of its scores are not numbers")
    limits = np.asarray(stored["threshold"], dtype=np.float64)
    if not np.isfinite(limits).all() or limits.shape not in ((), shape[1:]):
        raise ValueError("its threshold is no number")
    return Predictions(ids.tolist(), rows, targets, scores, of_values(limits))


def _check_range(found: Predictions, margins: bool) -> None:
    """Checks that scores which are probabilities are.

    Raises:
        ValueError: one lies outside 0 to 1.
    """
    values = found.scores.data if isinstance(found.scores, sp.csr_array) else found.scores
    if not margins and values.size and not 0 <= values.min() <= values.max() <= 1:
        raise ValueError(f"its scores reach from {values.min():g} to {values.max():g}, and are no probabilities")


def _check_against(found: Predictions, metrics: Mapping[str, Any], part: str) -> None:
    """Checks predictions against the labels and documents that the run's metrics have, as far as they say.

    Raises:
        ValueError: they differ in number.
    """
    documents, labels = found.targets.shape
    if "labels" in metrics and labels != len(metrics["labels"]):
        raise ValueError(f"it and metrics.json have different labels, {labels:,} and {len(metrics['labels']):,}")
    known = results.count_documents(metrics, part)
    if known and known != documents:
        raise ValueError(f"it has {documents:,} documents, metrics.json {known:,}")


def _csr(data: np.ndarray, stored: Any, name: str, shape: tuple[int, ...]) -> sp.csr_array:
    """A CSR of stored indices; `ValueError` where they make none of this shape, or name an entry twice."""
    matrix = sp.csr_array((data, stored[f"{name}_indices"], stored[f"{name}_indptr"]), shape=shape)
    matrix.check_format(full_check=True)
    if not matrix.has_canonical_format:
        matrix.sum_duplicates()
        if matrix.nnz != len(data):
            raise ValueError(f"it names a {name} twice")
    return matrix
