"""Linear SVMs of many labels: fitted in several processes, each on its documents, their weights pruned and sparse."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from threading import Thread

import numpy as np
import scipy.sparse as sp

CERTAIN = 100.0
"""Margin of a label that all of its task's documents have; of one that none has, its negative."""
TOLERANCE = 0.1
"""Where LIBLINEAR ends in the dual by its authors' default; scikit-learn's is a thousandth of it."""
ENTRIES_AT_ONCE = 20_000_000
"""Entries of the features times labels of a task: about a second of work. A run can be stopped between two tasks."""
WORTH_PROCESSES = 100_000_000
"""Of all tasks together: with less, starting processes takes longer than they save."""
SCORES_AT_ONCE = 1 << 23
"""Margins that are held densely."""
SAMPLED_TASKS, SAMPLED_LABELS = 8, 3
"""By whose weights the memory of all is foretold."""
ENTRY_BYTES, OWN_ENTRY_BYTES = 24, 28
"""Of each entry of the features: in the run's memory, and in that of each process that fits."""
PROCESS_BYTES = 200_000_000
"""Of Python, NumPy and scikit-learn in a process that fits."""
RUN_BYTES = 500_000_000
"""Of these, PyTorch and a corpus in the run itself."""
WEIGHT_BYTES = 8
"""A weight and its row."""
BIGGER_PRUNES = (0.05, 0.1, 0.2, 0.3, 0.5, 1.0)
"""Values of `model.prune` that are proposed where memory does not suffice."""


@dataclass(frozen=True)
class Task:
    """Labels that are fitted on the same documents.

    Attributes:
        rows: of the documents, rising, (n,); None: all.
        documents: those that have each label, as places in `rows`, one array a label.
        entries: of the documents' features.
    """

    rows: np.ndarray | None
    documents: list[np.ndarray]
    entries: int

    @property
    def cost(self) -> int:
        """What a fit's time goes with."""
        return max(1, self.entries) * len(self.documents)

    def split(self) -> list[Task]:
        """The same in pieces of labels, each of about `ENTRIES_AT_ONCE`."""
        size = max(1, ENTRIES_AT_ONCE // max(1, self.entries))
        parts = (self.documents[at : at + size] for at in range(0, len(self.documents), size))
        return [Task(self.rows, part, self.entries) for part in parts]


@dataclass(frozen=True)
class Hyperplanes:
    """Linear SVMs of b labels: margin = features @ weights + intercepts.

    Attributes:
        weights: (V, b) float32, by columns.
        intercepts: (b,) float32.
    """

    weights: sp.csc_array
    intercepts: np.ndarray

    def margins(self, features: sp.csr_array) -> Iterator[np.ndarray]:
        """Signed distances times the weight norm, batches of (B, b) float32; none where there are no features."""
        weights = sp.csr_array(self.weights)
        size = max(1, SCORES_AT_ONCE // max(1, weights.shape[1]))
        for start in range(0, features.shape[0], size):
            yield (features[start : start + size] @ weights).toarray() + self.intercepts

    def to_arrays(self) -> dict[str, np.ndarray]:
        """What a file of weights holds."""
        return {
            "weights.data": self.weights.data.astype(np.float32, copy=False),
            "weights.indices": self.weights.indices.astype(np.int32, copy=False),
            "weights.indptr": self.weights.indptr.astype(np.int64),
            "intercepts": self.intercepts.astype(np.float32, copy=False),
        }

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray], words: int) -> Hyperplanes:
        """Reads what `to_arrays` gave.

        Raises:
            LookupError: an array is missing.
            ValueError: they do not fit together, or to so many words.
        """
        intercepts = arrays["intercepts"]
        values, rows, ends = (arrays[f"weights.{name}"] for name in ("data", "indices", "indptr"))
        if any(part.ndim != 1 for part in (intercepts, values, rows, ends)):
            raise ValueError(f"{len(intercepts.shape)}-dimensional intercepts")
        # SciPy makes places of one kind, large ones where only the ends are: twice the memory of the rows.
        if ends.dtype.kind == "i" and ends.min(initial=0) >= 0 and ends.max(initial=0) <= np.iinfo(rows.dtype).max:
            ends = ends.astype(rows.dtype)
        weights = sp.csc_array((values, rows, ends), shape=(words, len(intercepts)))
        weights.check_format(full_check=True)
        return cls(weights, intercepts)


def list_columns(targets: sp.csr_array) -> list[np.ndarray]:
    """The documents that have each label, rising, one array a label."""
    columns = sp.csc_array(targets)
    columns.sort_indices()
    return np.split(columns.indices, columns.indptr[1:-1])


def plan_labels(features: sp.csr_array, targets: sp.csr_array) -> list[Task]:
    """Every label against the rest, on all documents."""
    return Task(None, list_columns(targets), features.nnz).split()


def fit_tasks(
    features: sp.csr_array, tasks: Sequence[Task], *, C: float, prune: float, seed: int, processes: int
) -> Iterator[Hyperplanes]:
    """Fits the labels of each task, in the order of the tasks; the numbers do not depend on the processes.

    Args:
        features: of all documents, (N, V).
        tasks: each with one label at least.
        C: inverse strength of the regularisation.
        prune: weights that are nearer to 0 are left out.
        seed: of LIBLINEAR, the same for each label.
        processes: that fit at the same time, where the tasks are worth it.

    Source: LIBLINEAR (Fan et al. 2008) in scikit-learn, squared hinge loss in the dual (Hsieh et al. 2008). Its random
    numbers are common to a process: threads would take them from each other in an order that no seed decides.
    """
    shared = with_small_numbers(features, np.float64)
    calls = ((shared, task, C, prune, seed) for task in tasks)
    if processes == 1 or sum(task.cost for task in tasks) < WORTH_PROCESSES:
        yield from (fit_task(*call) for call in calls)
        return
    from joblib import Parallel, delayed

    pool = Parallel(n_jobs=processes, return_as="generator", pre_dispatch="2*n_jobs", batch_size=1)
    yield from pool(delayed(fit_beside)(os.getpid(), *call) for call in calls)


def fit_beside(parent: int, features: sp.csr_array, task: Task, C: float, prune: float, seed: int) -> Hyperplanes:
    """`fit_task` in a process that ends when its parent does, also where that is killed."""
    watch_parent(parent)
    return fit_task(features, task, C, prune, seed)


@cache
def watch_parent(parent: int) -> None:
    """Looks every second, from now on, whether another process is the parent, and ends this one then."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    Thread(target=watch, daemon=True).start()


def fit_task(features: sp.csr_array, task: Task, C: float, prune: float, seed: int) -> Hyperplanes:
    """The hyperplanes of a task's labels."""
    from sklearn import config_context
    from sklearn.svm import LinearSVC

    # Words: those that these documents have, so that a solver's vector has no others.
    chosen = features if task.rows is None else features[task.rows]
    words = np.flatnonzero(np.bincount(chosen.indices, minlength=features.shape[1])).astype(np.int32)
    places = np.zeros(features.shape[1], np.int32)
    places[words] = np.arange(len(words), dtype=np.int32)
    narrow = (chosen.data, places[chosen.indices], chosen.indptr.astype(np.int32))
    chosen = sp.csr_array(narrow, shape=(chosen.shape[0], len(words)))
    # Labels: one that all or none of the documents have needs no hyperplane, and without a word there is none.
    intercepts = np.zeros(len(task.documents), np.float32)
    rows, values = [np.zeros(0, np.int32)], [np.zeros(0, np.float32)]
    ends = np.zeros(len(task.documents) + 1, np.int64)
    for place, documents in enumerate(task.documents):
        ends[place + 1] = ends[place]
        if not len(words) or len(documents) in (0, chosen.shape[0]):
            intercepts[place] = CERTAIN if 2 * len(documents) > chosen.shape[0] else -CERTAIN
            continue
        wanted = np.zeros(chosen.shape[0], np.int8)
        wanted[documents] = 1
        with config_context(assume_finite=True, skip_parameter_validation=True):  # an eighth of a small fit
            one = LinearSVC(C=C, tol=TOLERANCE, dual=True, random_state=seed).fit(chosen, wanted)
        large = np.flatnonzero(np.abs(one.coef_[0]) >= prune)
        rows.append(words[large])
        values.append(one.coef_[0][large].astype(np.float32))
        ends[place + 1] += len(large)
        intercepts[place] = one.intercept_[0]
    shape = (features.shape[1], len(task.documents))
    return Hyperplanes(sp.csc_array((np.concatenate(values), np.concatenate(rows), ends), shape=shape), intercepts)


def join(parts: Iterable[Hyperplanes], words: int) -> Hyperplanes:
    """The hyperplanes of several tasks, one behind the other; none of no task, with so many words.

    Each part is copied as it comes, so that of an iterator's parts no weight is held twice.
    """
    values, rows = np.zeros(0, np.float32), np.zeros(0, np.int32)
    sizes, intercepts = [np.zeros(1, np.int64)], [np.zeros(0, np.float32)]
    for part in parts:
        start = len(values)
        for whole, found in ((values, part.weights.data), (rows, part.weights.indices)):
            whole.resize(start + len(found), refcheck=False)  # in place: a large array's pages are moved, not copied
            whole[start:] = found
        sizes.append(np.diff(part.weights.indptr).astype(np.int64))
        intercepts.append(part.intercepts)
    ends = np.concatenate(sizes).cumsum()
    return Hyperplanes(sp.csc_array((values, rows, ends), shape=(words, len(ends) - 1)), np.concatenate(intercepts))


def with_small_numbers(matrix: sp.csr_array, kind: type) -> sp.csr_array:
    """The same matrix with 32-bit places, which is all that scikit-learn takes, and numbers of another kind."""
    parts = (matrix.data.astype(kind), matrix.indices.astype(np.int32), matrix.indptr.astype(np.int32))
    return sp.csr_array(parts, shape=matrix.shape)


def foretell_memory(
    features: sp.csr_array, tasks: Sequence[Task], *, C: float, seed: int, processes: int
) -> Callable[[float], int]:
    """What fitting takes at most, roughly: bytes by `prune`.

    A few labels of tasks of every size are fitted for it, and their weights counted.

    Args:
        features: of all documents, (N, V).
        tasks: all that will be fitted.
        C: inverse strength of the regularisation.
        seed: of LIBLINEAR.
        processes: that fit at the same time.
    """
    shared = with_small_numbers(features, np.float64)
    fixed = RUN_BYTES + features.nnz * (ENTRY_BYTES + OWN_ENTRY_BYTES * processes) + PROCESS_BYTES * processes
    by_size = sorted(range(len(tasks)), key=lambda place: tasks[place].entries)
    sizes, shares = [np.zeros(0)], [np.zeros(0)]
    for group in np.array_split(by_size, max(1, min(SAMPLED_TASKS, len(tasks)))):
        if not len(group):
            continue
        task = tasks[group[len(group) // 2]]
        spread = np.unique(np.linspace(0, len(task.documents) - 1, SAMPLED_LABELS).astype(int))
        some = Task(task.rows, [task.documents[place] for place in spread], task.entries)
        found = np.abs(fit_task(shared, some, C, 0.0, seed).weights.data)
        labels = sum(len(tasks[place].documents) for place in group)
        sizes.append(found)
        shares.append(np.full(len(found), labels / len(spread)))
    weights, share = np.concatenate(sizes), np.concatenate(shares)
    return lambda prune: int(fixed + WEIGHT_BYTES * share[weights >= prune].sum())
