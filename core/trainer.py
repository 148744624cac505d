"""Training as a generator: it yields progress, the caller looks, and stops it with `break`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor, nn

from core.config import ModelConfig, TrainConfig, UserError
from core.models import csr_batch

SCORING_BATCH = 1024


@dataclass(frozen=True)
class Progress:
    """Where training stands after a step.

    Attributes:
        train_loss: mean loss of the epoch's steps so far.
        ended_epoch: this was the epoch's last step; the network may be scored now.
    """

    epoch: int
    step: int
    steps: int
    train_loss: float
    learning_rate: float
    ended_epoch: bool


def train(
    network: nn.Module,
    loss: Callable[[Tensor, Tensor], Tensor],
    features: sp.csr_array,
    targets: sp.csr_array,
    *,
    config: TrainConfig,
    seed: int,
    device: str,
) -> Iterator[Progress]:
    """Fits a network to sparse features (N, V) and targets (N, L), the rate falling linearly to zero.

    Each step has the length of the learning rate: Nesterov momentum on gradients scaled to norm 1. So a loss times a
    constant trains the same network, which makes losses comparable, and the many rare words are not pushed as hard as
    the frequent ones, which is where Adam loses more than a point of micro-F1 on TF-IDF features.

    Raises:
        UserError: the loss is no longer a number.
    """
    order = np.random.default_rng(seed)
    parameters = list(network.parameters())
    optimizer = torch.optim.SGD(
        parameters, lr=config.learning_rate, momentum=0.9, nesterov=True, weight_decay=config.weight_decay
    )
    documents = features.shape[0]
    steps = math.ceil(documents / config.batch_size)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=steps * config.epochs)
    for epoch in range(1, config.epochs + 1):
        network.train()
        rows, total = order.permutation(documents), 0.0
        for step in range(1, steps + 1):
            batch = rows[(step - 1) * config.batch_size : step * config.batch_size]
            logits = network(*csr_batch(features[batch], device))
            value = loss(logits, dense_targets(targets[batch], device))
            optimizer.zero_grad(set_to_none=True)
            value.backward()
            _scale_to_norm_one(parameters)
            rate = optimizer.param_groups[0]["lr"]
            optimizer.step()
            schedule.step()
            total += value.item()
            if not math.isfinite(total):
                raise UserError(
                    f"The loss stopped being a number in epoch {epoch}, step {step}. "
                    "Usual causes: too high a train.learning_rate or a loss.scale that is too large."
                )
            yield Progress(epoch, step, steps, total / step, rate, ended_epoch=step == steps)


def _scale_to_norm_one(parameters: list[nn.Parameter]) -> None:
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    norm = torch.nn.utils.get_total_norm(gradients)
    if norm > 0:
        torch._foreach_div_(gradients, norm)


def dense_targets(targets: sp.csr_array, device: str) -> Tensor:
    """Targets of one batch, (B, L) float32."""
    return torch.from_numpy(targets.toarray().astype(np.float32)).to(device)


@torch.no_grad()
def predict(network: nn.Module, features: sp.csr_array, *, device: str) -> Iterator[np.ndarray]:
    """Scores (sigmoid of the raw logits) of batches of rows, (B, L) float32."""
    network.eval()
    for start in range(0, features.shape[0], SCORING_BATCH):
        logits = network(*csr_batch(features[start : start + SCORING_BATCH], device))
        yield torch.sigmoid(logits.float()).cpu().numpy()


@dataclass(frozen=True)
class LinearRule:
    """One hyperplane per label: margin = features @ weights + intercepts.

    Attributes:
        weights: (V, L) float32.
        intercepts: (L,) float32.
    """

    weights: np.ndarray
    intercepts: np.ndarray

    def margins(self, features: sp.csr_array) -> Iterator[np.ndarray]:
        """Signed distances times the weight norm, batches of (B, L)."""
        for start in range(0, features.shape[0], SCORING_BATCH):
            yield features[start : start + SCORING_BATCH] @ self.weights + self.intercepts


NEVER = -100.0
"""Margin of a label without a training document: below every threshold that a fit can choose."""


def fit_svm(
    features: sp.csr_array, targets: sp.csr_array, rule: LinearRule, *, config: ModelConfig, seed: int, block: int = 10
) -> Iterator[float]:
    """Fills `rule` with one linear SVM per label, `block` labels at a time; yields the fraction done.

    Source: one-vs-rest with scikit-learn's `LinearSVC` (LIBLINEAR, Fan et al. 2008).
    """
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.svm import LinearSVC

    labels = targets.shape[1]
    for start in range(0, labels, block):
        columns = np.arange(start, min(start + block, labels))
        wanted = targets[:, columns].toarray()
        counts = wanted.sum(axis=0)
        usable = (counts > 0) & (counts < len(wanted))
        rule.weights[:, columns] = 0
        rule.intercepts[columns] = np.where(counts > 0, -NEVER, NEVER)
        if usable.any():
            classifier = OneVsRestClassifier(LinearSVC(C=config.C, random_state=seed)).fit(features, wanted[:, usable])
            for column, one in zip(columns[usable], classifier.estimators_, strict=True):
                rule.weights[:, column] = one.coef_[0]
                rule.intercepts[column] = one.intercept_[0]
        yield (columns[-1] + 1) / labels
