"""Tables of the choices: models with their settings and defaults, threshold rules, names of losses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from core.losses.presets import LOSSES, Decision, Setting

SETTINGS = get_args(Setting)
LOSS_CONSTANTS = {name: loss.constants for name, loss in LOSSES.items()}
LOSS_NAMES = tuple(LOSSES)
PAPER_LOSSES = tuple(name for name, loss in LOSSES.items() if loss.group == "paper")


@dataclass(frozen=True)
class Model:
    """A model: what it is and reads, and where its settings differ.

    Attributes:
        title: what it is, in a clause.
        reads: weighted words, or tokens in their order.
        settings: those of `ModelConfig` that it reads.
        model: values of `ModelConfig` where they are not given and differ from the class's own, which are those of
            `tfidf`.
        train: the same of `TrainConfig`.
        own_loss: the one it is trained with; empty where a loss is chosen.
        at_once: it is fitted at once, on the CPU; else it is trained by steps.
        margins: its scores are margins, not probabilities.
        layered: it needs a hidden layer.
        trained: it learns from documents; else it is made of finished runs (`core.runs.combine`), with no loss.
    """

    title: str
    reads: Literal["words", "tokens", "scores"]
    settings: tuple[str, ...]
    model: Mapping[str, Any]
    train: Mapping[str, Any]
    own_loss: str = ""
    at_once: bool = False
    margins: bool = False
    layered: bool = False
    trained: bool = True

    @property
    def defaults(self) -> dict[str, Mapping[str, Any]]:
        """What differs from the defaults of `tfidf`, by section."""
        return {"model": self.model, "train": self.train}


_TFIDF = ("max_features", "min_df", "bigrams")
_WORDS = ("vocabulary", "max_features", "min_df", "dropout", "max_length", "long", "bias")
_DECODER = (*_WORDS[:-2], "embedding", "hidden", "beam", "max_labels")
_LONG = {"max_length": 300, "dropout": 0.5, "max_features": 30_000, "bias": "loss"}
_DECODED = {"max_length": 300, "dropout": 0.3, "max_features": 30_000, "hidden": 128}
_NEURAL = {"optimizer": "adamw", "clip": 1.0, "batch_size": 32, "patience": 5}
_FROM_SCRATCH = _NEURAL | {"learning_rate": 2e-3, "epochs": 20}
MODELS: dict[str, Model] = {
    "svm": Model(
        "TF-IDF and one linear support vector machine for each label",
        reads="words",
        settings=(*_TFIDF, "C", "prune"),
        model={},
        train={},
        own_loss="hinge",
        at_once=True,
        margins=True,
    ),
    "tree": Model(
        "TF-IDF and a tree of labels with a linear support vector machine at each node, for thousands of labels",
        reads="words",
        settings=(*_TFIDF, "C", "prune", "clusters", "depth", "beam"),
        model={"beam": 10},
        train={},
        own_loss="hinge",
        at_once=True,
    ),
    "tfidf": Model(
        "TF-IDF into a linear layer or one hidden layer",
        reads="words",
        settings=(*_TFIDF, "hidden", "dropout", "head", "bias"),
        model={},
        train={},
    ),
    "transformer": Model(
        "a pretrained encoder, fine-tuned",
        reads="tokens",
        settings=(
            "encoder",
            "pooling",
            "head",
            "dropout",
            "attention_dropout",
            "max_length",
            "long",
            "freeze",
            "frozen_layers",
            "bias",
            "names",
            "wide",
            "max_features",
            "min_df",
        ),
        model={"dropout": 0.1, "max_length": 256, "bias": "loss"},
        train=_NEURAL
        | {
            "batch_size": 32,
            "learning_rate": 2e-4,
            "weight_decay": 0.01,
            "epochs": 6,
            "warmup": 0.06,
            "precision": "auto",
        },
    ),
    "textcnn": Model(
        "convolutions over words, the largest of each",
        reads="tokens",
        settings=(*_WORDS, "embedding", "filters", "head", "wide"),
        model=_LONG | {"filters": 100},
        train=_FROM_SCRATCH | {"epochs": 10},
    ),
    "xml-cnn": Model(
        "convolutions over words, the largest of each part of the text, and a hidden layer",
        reads="tokens",
        settings=(*_WORDS, "embedding", "filters", "hidden", "head", "wide"),
        model=_LONG | {"hidden": 512},
        train=_FROM_SCRATCH,
        layered=True,
    ),
    "cnn-rnn": Model(
        "convolutions over words, read by a recurrent network",
        reads="tokens",
        settings=(*_WORDS, "embedding", "filters", "hidden", "head", "wide"),
        model=_LONG | {"hidden": 256},
        train=_FROM_SCRATCH,
        layered=True,
    ),
    "bigru-lwan": Model(
        "a recurrent network in both directions, with an attention for each label",
        reads="tokens",
        settings=(*_WORDS, "embedding", "hidden", "head", "wide"),
        model=_LONG | {"hidden": 128, "dropout": 0.3},
        train=_FROM_SCRATCH,
        layered=True,
    ),
    "encdec": Model(
        "a recurrent decoder that writes the labels one after another, the most frequent first",
        reads="tokens",
        settings=_DECODER,
        model=_DECODED,
        train=_FROM_SCRATCH,
        own_loss="sequence cross-entropy",
        layered=True,
    ),
    "ocd": Model(
        "a recurrent decoder that writes the labels in any order and learns from its own mistakes",
        reads="tokens",
        settings=_DECODER,
        model=_DECODED,
        train=_FROM_SCRATCH,
        own_loss="optimal completion distillation",
        layered=True,
    ),
    "combined": Model(
        "the scores of several finished runs, averaged in logits",
        reads="scores",
        settings=(),
        model={},
        train={},
        trained=False,
    ),
}
MODEL_NAMES = tuple(name for name, model in MODELS.items() if model.trained)
"""Models that can be trained."""
COMBINED = "combined"
"""The model of a combined run."""


@dataclass(frozen=True)
class ThresholdRule:
    """A rule by which scores become decisions: of every label alike, or each label by a threshold of its own.

    Attributes:
        about: the threshold that it gives, in a clause.
        function: name of the function in `core.metrics.thresholds` or `core.metrics.quiet` that fits it, of targets and
            scores, and by label also of counts and documents; empty for a grid or a value.
        grid: hundredths that it tries, of equally good ones the lowest.
        value: the threshold itself, whatever the scores are.
        by_label: it gives a threshold for each label.
        in_runs: `train.threshold` may name it.
        title: on the errors page; empty where that does not offer it.
        margins: the rule that does the same for an SVM's margins; its own name where that is itself.
    """

    about: str
    function: str = ""
    grid: range | None = None
    value: float | None = None
    by_label: bool = False
    in_runs: bool = False
    title: str = ""
    margins: str = ""


THRESHOLD_RULES: dict[str, ThresholdRule] = {
    "exact": ThresholdRule(
        "the cut of best micro-F1, of all between two different scores",
        function="fit_exact",
        in_runs=True,
        title="global",
    ),
    "quiet": ThresholdRule(
        "exact, but lower for a label that scores low in every validation document without it",
        function="fit_quiet",
        by_label=True,
        in_runs=True,
        title="quiet",
        margins="quiet-margins",
    ),
    "quiet-margins": ThresholdRule(
        "the same in an SVM's margins",
        function="fit_quiet_margins",
        by_label=True,
    ),
    "paper": ThresholdRule("the best of 0.40 to 0.60 in hundredths", grid=range(40, 61), in_runs=True, margins="shift"),
    "shift": ThresholdRule("the best shift of all hyperplanes, -1 to 1 in hundredths", grid=range(-100, 101)),
    "fixed": ThresholdRule("a score of 0.5", value=0.5, in_runs=True, title="fixed", margins="zero"),
    "zero": ThresholdRule("a margin of 0", value=0.0),
    "per-label": ThresholdRule(
        "one for each label, guarded against over-fitting by documents of an average label",
        function="fit_guarded",
        by_label=True,
        in_runs=True,
        title="per label",
    ),
    "scut": ThresholdRule(
        "the best cut of each label (SCut), which over-fits rare labels",
        function="fit_scut",
        by_label=True,
        title="per label, no guard (SCut)",
    ),
    "scut-fbr": ThresholdRule(
        "SCut averaged over folds, and the highest score where the best F1 is low (SCutFBR.1)",
        function="fit_scut_fbr",
        by_label=True,
        title="per label, SCutFBR",
    ),
    "pcut": ThresholdRule(
        "each label in the share of documents that it has in training (PCut)",
        function="fit_pcut",
        by_label=True,
        title="as often as in training (PCut)",
    ),
}
AUTO_RULES: dict[Decision, str] = {"fitted threshold": "exact", "logit > 0": "fixed"}
"""What `train.threshold=auto` means, by how the loss decides."""
USUAL_RULES: dict[Decision, str] = {"fitted threshold": "quiet", "logit > 0": "auto"}
"""`train.threshold` where none is given, by how the loss decides. The field's own default stays `auto`: ids of runs are
made of what differs from it, and earlier runs have no word of it in theirs."""
RULES_IN_RUNS = ("auto", *(name for name, rule in THRESHOLD_RULES.items() if rule.in_runs))
