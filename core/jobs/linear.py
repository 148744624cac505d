"""Linear models, which are fitted at once, without steps and checkpoints: the SVM of each label, and the tree."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp

from core.config.schema import RunConfig
from core.data.corpus import Corpus
from core.jobs import queue
from core.jobs.fitted import PARTS, Fitted
from core.metrics import kept_scores
from core.models.label_tree import grow_tree, plan_tree, score_tree
from core.models.many_svms import BIGGER_PRUNES, Hyperplanes, Task, fit_tasks, foretell_memory, join, plan_labels
from core.models.svm import FEW_LABELS, LinearRule, fit_svm
from core.system.errors import UserError
from core.trainer import distributed
from core.trainer.memory import memory_free
from core.trainer.setup import SPARSE_THREADS, Reporter, make_features

log = logging.getLogger("tailscope")


def fit_linear(config: RunConfig, corpus: Corpus, reporter: Reporter) -> Fitted:
    """Fits linear SVMs: of a few labels to the last digit, of more or of a tree of labels as `fit_many` does.

    Raises:
        UserError: the memory that is free will not suffice.
        Stopped: a stop was requested; nothing is kept.
    """
    few = config.model.name == "svm" and len(corpus.labels) <= FEW_LABELS
    return (fit_few if few else fit_many)(config, corpus, reporter)


def fit_few(config: RunConfig, corpus: Corpus, reporter: Reporter) -> Fitted:
    """Fits the SVMs of at most `FEW_LABELS` labels; `Fitted.scores` are margins."""
    encoder, features = make_features(config, corpus, reporter)
    shape = (features["train"].shape[1], len(corpus.labels))
    rule = LinearRule(np.zeros(shape, np.float32), np.zeros(shape[1], np.float32))
    for done in fit_svm(features["train"], corpus.targets_of("train"), rule, config=config.model, seed=config.seed):
        reporter.report_if_due("fitting labels", 0.05 + 0.9 * done)
        reporter.raise_if_stopped()
    scores = {part: kept_scores.keep_scores(rule.margins(features[part]), len(corpus.labels)) for part in PARTS}
    return Fitted(
        scores, {"weights": rule.weights, "intercepts": rule.intercepts}, encoder.save, {"threads": SPARSE_THREADS}
    )


def fit_many(config: RunConfig, corpus: Corpus, reporter: Reporter) -> Fitted:
    """Fits the SVMs of a tree of labels, or of many labels each, on all cores; their weights are pruned and sparse.

    Raises:
        UserError: the memory that is free will not suffice, which is foretold before the fits begin.
    """
    encoder, features = make_features(config, corpus, reporter)
    targets, model, labels = corpus.targets_of("train"), config.model, len(corpus.labels)
    processes = distributed.count_threads(len(queue.slots("cpu")))
    # Plan: which SVMs there are, each on which documents.
    tree = None
    if model.name == "tree":
        reporter.report("clustering labels", 0.04)
        tree = grow_tree(features["train"], targets, clusters=model.clusters, depth=model.depth, seed=config.seed)
        tasks = plan_tree(tree, features["train"], targets)
    else:
        tasks = plan_labels(features["train"], targets)
    # Memory: foretold from a few of them.
    options: dict[str, Any] = {"C": model.C, "seed": config.seed, "processes": processes}
    reporter.report("foretelling memory", 0.05)
    check_memory(config, foretell_memory(features["train"], tasks, **options), memory_free("cpu"))
    # Fit.
    fits = fit_tasks(features["train"], tasks, prune=model.prune, **options)
    planes = join(_report_each(tasks, fits, reporter), features["train"].shape[1])
    log.info("%d hyperplanes, %d weights", len(planes.intercepts), planes.weights.nnz)
    # Score.
    arrays, scores = planes.to_arrays(), {}
    for part in PARTS:
        reporter.report("scoring", 0.96)
        batches: Iterable[np.ndarray | sp.csr_array] = planes.margins(features[part])
        if tree is not None:
            batches = score_tree(tree, planes, features[part], labels=labels, beam=model.beam)
        scores[part] = kept_scores.keep_scores(batches, labels)
    if tree is not None:
        arrays |= {"tree.parents": tree.parents, "tree.labels": tree.labels}
    return Fitted(scores, arrays, encoder.save, {"threads": processes})


def _report_each(tasks: Sequence[Task], fits: Iterable[Hyperplanes], reporter: Reporter) -> Iterator[Hyperplanes]:
    """The fits of tasks as they come, each reported."""
    done, all_of_it = 0, sum(task.cost for task in tasks)
    for task, planes in zip(tasks, fits, strict=True):
        yield planes
        done += task.cost
        reporter.report_if_due("fitting labels", 0.05 + 0.9 * done / all_of_it)
        reporter.raise_if_stopped()


def check_memory(config: RunConfig, foretold: Callable[[float], int], free: int) -> None:
    """Logs the memory that the SVMs of many labels take, and refuses them where it is not there.

    Args:
        config: of the run.
        foretold: bytes by `model.prune`, as `foretell_memory` gives them.
        free: bytes.

    Raises:
        UserError: it is not; the message has the setting that would do.
    """
    needed = foretold(config.model.prune)
    log.info("needs about %.1f GB of memory, %.1f GB are free for it", needed / 1e9, free / 1e9)
    if needed <= free:
        return
    higher = [prune for prune in BIGGER_PRUNES if prune > config.model.prune and foretold(prune) <= free]
    advice = f"set model.max_features={max(1, config.model.max_features // 4)}"
    if higher:
        advice = f"set model.prune={higher[0]:g}, with which it takes about {foretold(higher[0]) / 1e9:.1f} GB"
    raise UserError(
        f"Memory will not suffice: model '{config.model.name}' takes about {needed / 1e9:.1f} GB here, and "
        f"{free / 1e9:.1f} GB are free for it. To train it, {advice}."
    )
