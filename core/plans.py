"""A plan is a grid of runs as the form holds it and as a file keeps it; presets, and the plan behind a run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import Field

from core import jobs
from core.config.defaults import LOSS_NAMES, MODEL_NAMES
from core.config.parse import change, parse, setting_names
from core.config.schema import DataConfig, Frozen, RunConfig
from core.system.errors import UserError, choose

Value = bool | int | float | str
MOST_RUNS = 1000
"""Runs in one plan: more are a mistake."""


class Plan(Frozen):
    """Every model with every loss and every seed, and the settings that differ from the defaults."""

    data: DataConfig = DataConfig()
    models: tuple[str, ...] = ("tfidf",)
    losses: tuple[str, ...] = Field(("bce",), description="names; `paper` is the eight of the paper")
    seeds: tuple[int, ...] = (0,)
    settings: dict[str, Value] = Field({}, description="by names such as train.epochs")

    def configs(self) -> list[RunConfig]:
        """The runs.

        Raises:
            UserError: an unknown name, a value out of range, no run or more than `MOST_RUNS`.
        """
        if (runs := len(self.models) * max(1, len(jobs.loss_names(self.losses))) * len(self.seeds)) > MOST_RUNS:
            raise UserError(f"These are {runs:,} runs; at most {MOST_RUNS:,} are launched at once. Take fewer seeds.")
        size = self.data.synthetic.model_dump(exclude_defaults=True) if self.data.name == "synthetic" else {}
        changes = {f"data.synthetic.{key}": value for key, value in size.items()} | self.settings
        return jobs.grid(
            data=self.data.name,
            split=self.data.split,
            models=self.models,
            losses=self.losses,
            seeds=self.seeds,
            changes=[change(key, value) for key, value in changes.items()],
        )

    def to_json(self) -> str:
        """The plan as a file, which `read` reads."""
        return json.dumps(self.model_dump(mode="json"), indent=1) + "\n"


def of_run(config: RunConfig) -> Plan:
    """The plan of one run alone."""
    settings = dict(jobs.changes_of(config))
    return Plan(
        data=config.data,
        models=(config.model.name,),
        losses=(config.loss.name,) if config.loss else (),
        seeds=(config.seed,),
        settings={key: value for key, value in settings.items() if not key.startswith("data.")},
    )


def read(text: str, *, where: str) -> Plan:
    """A plan from its file, or from the `config.json` of a run.

    Raises:
        UserError: no JSON, an unknown key or name (with the nearest), a value out of range.
    """
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(f"{where}: not JSON at line {error.lineno}, column {error.colno}: {error.msg}.") from None
    if isinstance(values, Mapping) and "model" in values:
        return of_run(parse(RunConfig, values, where=where))
    plan = parse(Plan, values, where=where)
    try:
        for model in plan.models:
            choose("model", model, MODEL_NAMES)
        for loss in plan.losses:
            choose("loss", loss, ("paper", *LOSS_NAMES))
        known = [name for name in setting_names(RunConfig) if name.partition(".")[0] in ("train", "model", "loss")]
        for key in plan.settings:
            choose("setting", key, known)
        plan.configs()
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    return plan


PRESETS: dict[str, tuple[str, dict[str, Any]]] = {
    "quick look": (
        "SVM, and two losses on TF-IDF for five epochs: a first table within a minute or two.",
        {"models": ("svm", "tfidf"), "losses": ("bce", "db"), "settings": {"train.epochs": 5}},
    ),
    "losses side by side": (
        "SVM and the paper's eight losses on TF-IDF, three seeds: what the losses change, and what is chance.",
        {"models": ("svm", "tfidf"), "losses": ("paper",), "seeds": (0, 1, 2)},
    ),
    "paper setting": (
        "The paper's training on Reuters: BERT, 512 tokens, batches of 32, AdamW at 1e-4, at most 40 epochs. It needs "
        "a network for the encoder, and a GPU to end in hours.",
        {
            "models": ("svm", "transformer"),
            "losses": ("paper",),
            "settings": {
                "model.encoder": "bert-base-uncased",
                "model.pooling": "cls",
                "model.attention_dropout": 0.1,
                "model.frozen_layers": 0,
                "model.max_length": 512,
                "train.batch_size": 32,
                "train.learning_rate": 1e-4,
                "train.head_rate": 1.0,
                "train.weight_decay": 0.01,
                "train.epochs": 40,
                "train.patience": 5,
                "train.threshold": "paper",
            },
        },
    ),
    "many labels": (
        "Thousands of labels: TF-IDF with the losses' settings for PubMed; the best epoch is that of the tail.",
        {
            "models": ("tfidf",),
            "losses": ("bce", "cb", "db"),
            "settings": {"loss.setting": "pubmed", "train.metric": "tail_macro_f1", "train.batch_size": 128},
        },
    ),
    "fine-tune": (
        "The packaged encoder fine-tuned with its defaults, with and without balancing: 40 minutes a run on two cores.",
        {"models": ("transformer",), "losses": ("bce", "db")},
    ),
    "fine-tune longer": (
        "The same with all layers trained, 8 epochs of 128 tokens: two and a half times as long, or on a GPU.",
        {
            "models": ("transformer",),
            "losses": ("bce", "db"),
            "settings": {"train.epochs": 8, "model.max_length": 128, "model.frozen_layers": 0},
        },
    ),
}
"""By name: what it is for, and what of a `Plan` it sets besides the data."""
