"""What a run is made of: frozen settings, strict in both directions, and the one error that people are shown."""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

ROOT = Path(__file__).resolve().parent.parent
_FOCAL = ("gamma", "focal_alpha")
_TOLERANT = ("kappa", "neg_scale")
_CLASS_BALANCED = ("cb_beta", "reweight_negatives")
_REBALANCED = ("alpha", "beta", "mu", "reweight_negatives")
LOSS_CONSTANTS: dict[str, tuple[str, ...]] = {
    "bce": ("scale",),
    "fl": ("scale", *_FOCAL),
    "cb": ("scale", *_FOCAL, *_CLASS_BALANCED),
    "r-fl": ("scale", *_FOCAL, *_REBALANCED),
    "ntr-fl": ("scale", *_FOCAL, *_TOLERANT),
    "db-0fl": ("scale", *_TOLERANT, *_REBALANCED),
    "cb-ntr": ("scale", *_FOCAL, *_TOLERANT, *_CLASS_BALANCED),
    "db": ("scale", *_FOCAL, *_TOLERANT, *_REBALANCED),
    "ntr-fl-released": ("scale", *_FOCAL, *_TOLERANT),
}
"""The constants that each loss of `core.losses` reads, known here without importing torch."""
LOSS_NAMES = tuple(LOSS_CONSTANTS)
PAPER_LOSSES = LOSS_NAMES[:8]
MODEL_NAMES = ("svm", "tfidf")
SETTINGS = ("reuters", "pubmed", "plain")
NAME_PATTERN = r"^[a-z0-9][a-z0-9-]{0,39}$"


class UserError(Exception):
    """Something a person can put right: says what was wrong, where, and what to do. The CLI prints it and exits 2."""


def cache_dir() -> Path:
    """Folder of prepared data and runs: `TAILSCOPE_CACHE`, else `cache/` beside the code."""
    return Path(os.environ.get("TAILSCOPE_CACHE") or ROOT / "cache")


def choose(kind: str, name: str, names: Iterable[str]) -> str:
    """Returns `name` if it is one of `names`; raises `UserError` with the nearest one and the whole list otherwise."""
    names = list(names)
    if name in names:
        return name
    near = difflib.get_close_matches(name, names, n=1)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    raise UserError(f"There is no {kind} named '{name}'.{hint} Choose one of: {', '.join(names)}.")


class Frozen(BaseModel):
    """Settings that never change after they were made; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class SyntheticConfig(Frozen):
    """Size and seed of the built-in synthetic corpus."""

    documents: int = Field(4000, ge=20, le=5_000_000)
    labels: int = Field(100, ge=2, le=1_000_000)
    cardinality: float = Field(1.6, ge=1.0, le=50.0, description="mean number of labels of a document")
    zipf: float = Field(1.1, ge=0.0, le=3.0, description="exponent of the label frequencies")
    words: int = Field(60, ge=1, le=5000, description="mean number of words of a document")
    seed: int = Field(0, ge=0)


class DataConfig(Frozen):
    """Which data set, and which of its named splits."""

    name: str = Field("reuters", pattern=NAME_PATTERN)
    split: str = Field("paper", pattern=NAME_PATTERN)
    synthetic: SyntheticConfig = SyntheticConfig()


class FileConfig(Frozen):
    """How a file of documents is read and which of its columns is what; "" or () where there is none."""

    format: Literal["csv", "jsonl", "json", "parquet", "datasets"]
    encoding: str = Field("utf-8", description="of csv, jsonl and json")
    delimiter: str = Field(",", min_length=1, max_length=1, description="between the fields of csv")
    header: bool = Field(True, description="whether the first line of csv names the columns; else they are numbered")
    text: tuple[str, ...] = Field((), description="columns that are joined, with a line break between, to the text")
    title: str = ""
    labels: tuple[str, ...] = Field((), description="one column; or with sep 0/1 one for each label, * is all others")
    sep: str = Field("", max_length=10, description="between labels in one string; 0/1: a column for each label")
    id: str = ""
    split: str = Field("", description="column that says train, validation or test")
    year: str = ""
    years: tuple[int, int] | None = Field(None, description="first and last year of the documents that are kept")


class SplitConfig(Frozen):
    """How the documents of a registered set are divided, and which labels are kept."""

    made: Literal["own", "random", "stratified", "paper"] = "random"
    validation: float = Field(0.1, ge=0, lt=0.9, description="share of all documents")
    test: float = Field(0.2, gt=0, lt=0.9, description="share of all documents")
    seed: int = Field(123, ge=0, lt=2**31)
    min_documents: int = Field(0, ge=0, description="a label with fewer train documents is left out")


class ModelConfig(Frozen):
    """TF-IDF options of `svm` and `tfidf`; `hidden` and `dropout` are read by `tfidf` alone, `C` by `svm` alone."""

    name: str = "tfidf"
    max_features: int = Field(100_000, ge=1)
    min_df: int = Field(2, ge=1, description="documents a word must occur in")
    bigrams: bool = False
    C: float = Field(1.0, gt=0, description="inverse strength of the SVM's regularisation")
    hidden: int = Field(0, ge=0, le=16_384, description="units of the hidden layer; 0: none, a linear model")
    dropout: float = Field(0.0, ge=0, lt=1, description="share of hidden units (or of words) left out in a step")

    @model_validator(mode="after")
    def _known(self) -> ModelConfig:
        choose("model", self.name, MODEL_NAMES)
        return self


class LossConfig(Frozen):
    """A preset and what is changed of it; None keeps the preset's value. Symbols: `core.losses`."""

    name: str = "bce"
    setting: Literal["reuters", "pubmed", "plain"] = "reuters"
    gamma: float | None = Field(None, ge=0)
    focal_alpha: float | None = Field(None, gt=0, lt=1)
    alpha: float | None = Field(None, ge=0)
    beta: float | None = Field(None, gt=0)
    mu: Annotated[float, Field(ge=0, le=1)] | Literal["auto"] | None = None
    cb_beta: float | None = Field(None, ge=0, lt=1)
    kappa: float | None = Field(None, ge=0)
    neg_scale: float | None = Field(None, gt=0)
    scale: float | None = Field(None, gt=0)
    reweight_negatives: bool | None = None

    @model_validator(mode="after")
    def _known(self) -> LossConfig:
        choose("loss", self.name, LOSS_NAMES)
        for key in self.overrides():
            if key not in LOSS_CONSTANTS[self.name]:
                known = ", ".join(f"loss.{constant}" for constant in LOSS_CONSTANTS[self.name])
                raise UserError(f"Loss '{self.name}' does not read loss.{key}; it reads {known}.")
        return self

    def overrides(self) -> dict[str, Any]:
        """The settings that differ from the preset, as keyword arguments of `core.losses.build_loss`."""
        return self.model_dump(exclude={"name", "setting"}, exclude_none=True)


class TrainConfig(Frozen):
    """How `tfidf` is trained, and how thresholds are chosen for every model."""

    epochs: int = Field(20, ge=1, le=10_000, description="at most so many passes over the train part")
    batch_size: int = Field(64, ge=1, description="documents in a step")
    learning_rate: float = Field(2.0, gt=0, description="length of the first step; it falls linearly to 0")
    weight_decay: float = Field(0.0, ge=0)
    patience: int = Field(10, ge=1, description="epochs without a better validation micro-F1 before training ends")
    device: str = Field("auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$")
    threshold: Literal["exact", "paper", "fixed"] = "exact"


class RunConfig(Frozen):
    """Everything that decides a run's numbers, besides the data's fingerprint and the versions of the software."""

    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    loss: LossConfig | None = None
    train: TrainConfig = TrainConfig()
    seed: int = Field(0, ge=0, lt=2**31)

    @model_validator(mode="after")
    def _loss_fits_model(self) -> RunConfig:
        if self.model.name == "svm" and self.loss is not None:
            raise UserError("Model 'svm' has a loss of its own (hinge): leave the loss out, or choose model 'tfidf'.")
        if self.model.name != "svm" and self.loss is None:
            raise UserError(f"Model '{self.model.name}' needs a loss: choose one of {', '.join(LOSS_NAMES)}.")
        return self


Settings = TypeVar("Settings", bound=Frozen)


def parse(kind: type[Settings], values: Mapping[str, Any] | str, *, where: str = "") -> Settings:
    """Makes settings from a mapping or JSON text; `where` is the file or option that messages begin with.

    Raises:
        UserError: broken JSON (line and column), an unknown key (with the nearest), a value out of range.
    """
    prefix = f"{where}: " if where else ""
    if isinstance(values, str):
        try:
            values = json.loads(values)
        except json.JSONDecodeError as error:
            raise UserError(f"{prefix}not JSON at line {error.lineno}, column {error.colno}: {error.msg}.") from None
    if not isinstance(values, Mapping):
        raise UserError(f"{prefix}expected an object with settings, found {type(values).__name__}.")
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        words = _in_words(kind, error)
        raise UserError(f"{prefix}{words}" if prefix else words[:1].upper() + words[1:]) from None
    except UserError as error:
        raise UserError(f"{prefix}{error}") from None


def with_changes(config: RunConfig, changes: Iterable[str]) -> RunConfig:
    """Applies `key=value` strings such as `loss.mu=0.8` or `train.epochs=3` to a config.

    Raises:
        UserError: no `=`, an unknown key, a value that does not fit.
    """
    values = config.model_dump()
    for change in changes:
        key, equals, text = change.partition("=")
        if not equals or not key:
            raise UserError(f"--set {change}: write it as key=value, for example train.epochs=3.")
        *path, last = key.strip().split(".")
        place: Any = values
        for step in path:
            place = place.get(step) if isinstance(place, dict) else None
        if not isinstance(place, dict):
            known = ", ".join(setting_names(RunConfig))
            near = difflib.get_close_matches(key, setting_names(RunConfig), n=1)
            raise UserError(
                f"--set {change}: there is no setting '{key}' here."
                + (f" Did you mean '{near[0]}'?" if near and near[0] != key else "")
                + f" Settings are: {known}."
            )
        try:
            place[last] = json.loads(text)
        except json.JSONDecodeError:
            place[last] = text
    return parse(RunConfig, values)


def setting_names(kind: type[Frozen], prefix: str = "") -> list[str]:
    """Dotted names of all settings, nested ones included."""
    names = []
    for name, field in kind.model_fields.items():
        inner = [t for t in (field.annotation, *getattr(field.annotation, "__args__", ())) if isinstance(t, type)]
        nested = [t for t in inner if issubclass(t, Frozen)]
        names += setting_names(nested[0], f"{prefix}{name}.") if nested else [f"{prefix}{name}"]
    return names


def _in_words(kind: type[Frozen], error: ValidationError) -> str:
    sentences = []
    for problem in error.errors():
        key = ".".join(str(step) for step in problem["loc"] if not re.match(r"^(literal|function)", str(step)))
        if problem["type"] == "extra_forbidden":
            near = difflib.get_close_matches(key, setting_names(kind), n=1, cutoff=0.5)
            hint = f" Did you mean '{near[0]}'?" if near else f" Settings are: {', '.join(setting_names(kind))}."
            sentences.append(f"there is no setting '{key}'.{hint}")
        else:
            sentences.append(f"'{key}' is {problem['input']!r}: {problem['msg'].lower()}.")
    return " ".join(dict.fromkeys(sentences))
