"""A plan is a grid of runs as the form holds it and as a file keeps it; configs, changes, command lines."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from pydantic import Field

from core.config.defaults import COMBINED, LOSS_CONSTANTS, LOSS_NAMES, MODEL_NAMES, MODELS, PAPER_LOSSES
from core.config.parse import change, differences, parse, parse_text, setting_names, with_changes
from core.config.schema import DataConfig, Frozen, LossConfig, RunConfig
from core.data.reuters import REUTERS_SIZES
from core.data.sources import default_config
from core.losses.presets import Setting
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
        if (runs := len(self.models) * max(1, len(loss_names(self.losses))) * len(self.seeds)) > MOST_RUNS:
            raise UserError(f"These are {runs:,} runs; at most {MOST_RUNS:,} are launched at once. Take fewer seeds.")
        size = self.data.synthetic_changes()
        changes = {f"data.synthetic.{key}": value for key, value in size.items()} | self.settings
        return grid(
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
    settings = dict(changes_of(config))
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
    values = parse_text(text, where=where)
    if isinstance(values, Mapping) and "model" in values:
        config = parse(RunConfig, values, where=where)
        check_trainable(config, f"{where} is of a combined run, which")
        return of_run(config)
    plan = parse(Plan, values, where=where)
    try:
        for model in plan.models:
            check_model(model)
        for loss in plan.losses:
            choose("loss", loss, ("paper", *LOSS_NAMES))
        known = [name for name in setting_names(RunConfig) if name.partition(".")[0] in ("train", "model", "loss")]
        for key in plan.settings:
            choose("setting", key, known)
        plan.configs()
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    return plan


def check_model(name: str) -> None:
    """Refuses a model that there is not, and one that is not trained.

    Raises:
        UserError: no model that can be trained.
    """
    if name == COMBINED:
        raise UserError(f"Model '{COMBINED}' is made of finished runs and never trained: `python -m core combine`.")
    choose("model", name, MODEL_NAMES)


def make_config(
    *, data: str, model: str, loss: str | None, seed: int, split: str | None = None, changes: Iterable[str] = ()
) -> RunConfig:
    """One run's settings from the names people use; `changes` are `key=value` strings.

    The loss starts from the constants that suit the data set (`choose_constants`), unless a change names its setting.

    Raises:
        UserError: an unknown name or setting, or a loss for a model that has its own.
    """
    check_model(model)
    if loss is not None:
        choose("loss", loss, LOSS_NAMES)
    return _make_config(default_config(data, split), model, loss, seed, list(changes))


def _make_config(data: DataConfig, model: str, loss: str | None, seed: int, changes: list[str]) -> RunConfig:
    values: dict[str, Any] = {"data": data.model_dump(), "model": {"name": model}, "seed": seed}
    if loss is not None:
        named = any(one.partition("=")[0].strip() == "loss.setting" for one in changes)
        values["loss"] = {"name": loss} | ({} if named else choose_constants(data.name, loss))
    return with_changes(parse(RunConfig, values), changes)


def choose_setting(data: str) -> Setting:
    """Whose `scale` and `mu` suit a data set, by its name: those of Reuters for Reuters, else those of the set itself.

    `pubmed` is for whoever names it: no name and no size says that a set is the paper's.
    """
    return "reuters" if data in REUTERS_SIZES else "plain"


def choose_constants(data: str, loss: str) -> dict[str, str]:
    """What of a loss's settings the data set decides: its `setting`, and outside Reuters `mu` by the authors' rule."""
    setting = choose_setting(data)
    by_rule = setting == "plain" and "mu" in LOSS_CONSTANTS[loss]
    return {"setting": setting} | ({"mu": "auto"} if by_rule else {})


def grid(
    *,
    data: str,
    models: Sequence[str],
    losses: Sequence[str],
    seeds: Sequence[int],
    split: str | None = None,
    changes: Iterable[str] = (),
) -> list[RunConfig]:
    """Every combination once. `losses` may hold `paper`, the eight of the paper; a model with its own loss takes none.

    Raises:
        UserError: an unknown name, or nothing to run.
    """
    names = loss_names(losses)
    changes = list(changes)
    configs = []
    for model in dict.fromkeys(models):
        check_model(model)
        own = MODELS[model].own_loss
        if not own and not names:
            raise UserError(f"Model '{model}' needs at least one loss: choose from {', '.join(LOSS_NAMES)}.")
        for loss in [None] if own else names:
            fitting = [change for change in changes if _concerns(model, loss, change)]
            for seed in dict.fromkeys(seeds):
                config = make_config(data=data, model=model, loss=loss, seed=seed, split=split, changes=fitting)
                configs.append(config)
    if not configs:
        raise UserError("There is nothing to run: choose at least one model and one seed.")
    return configs


def loss_names(losses: Iterable[str]) -> list[str]:
    """Every loss once, `paper` being the eight of the paper."""
    return list(dict.fromkeys(name for loss in losses for name in (PAPER_LOSSES if loss == "paper" else (loss,))))


def _concerns(model: str, loss: str | None, change: str) -> bool:
    """Whether a change of a grid is meant for a model and loss: a setting of one is left out of the others."""
    key = change.partition("=")[0].strip()
    section, _, name = key.partition(".")
    if MODELS[model].at_once and section == "train":
        return name == "threshold"
    if section == "model" and any(name in one.settings for one in MODELS.values()):
        return name in MODELS[model].settings
    if section == "loss" and any(name in one for one in LOSS_CONSTANTS.values()):
        return loss is not None and name in LOSS_CONSTANTS[loss]
    return loss is not None or key != "loss.setting"


def command_line(config: RunConfig) -> str:
    """The command that makes the run of exactly this config, ready to paste into a shell."""
    if config.combined:
        given = ",".join(map(repr, config.combined.weights))
        weights = given if config.combined.weighted == "given" else config.combined.weighted
        words = ["python", "-m", "core", "combine", *config.combined.members, "--weights", weights]
        return shlex.join([*words, "--rule", config.train.threshold])
    words = ["python", "-m", "core", "train", "--data", config.data.name, "--model", config.model.name]
    if config.loss:
        words += ["--loss", config.loss.name]
    words += ["--seed", str(config.seed)]
    for key, value in changes_of(config):
        words += ["--set", change(key, value)]
    return shlex.join(words)


@lru_cache(maxsize=4096)
def command_again(config: RunConfig, stored: str) -> str:
    """The command that makes a finished run again, ready to paste into a shell.

    Args:
        config: its settings.
        stored: the command that made it, which leaves out what was a default then; of another program it stays.
    """
    return command_line(config) if stored.startswith("python -m core ") else stored


def name_members(config: RunConfig) -> str:
    """The members of a combined run in a few words: `transformer-db-s0 + 3 tfidf-db`; empty of any other run.

    An id says model, loss and seed; members that differ by their seed alone are counted. Weights that are not all
    equal stand before the others: `0.7 transformer-db-s0 + 0.3 tfidf-db-s0`, or `0.3 (2 tfidf-db)`, what two have
    together.
    """
    if not config.combined:
        return ""
    alike: dict[str, list[tuple[str, float]]] = {}
    for member, weight in zip(config.combined.members, config.combined.weights, strict=True):
        name = member.removeprefix(f"{config.data.name}-").rpartition("-")[0] or member
        alike.setdefault(re.sub(r"-s\d+$", "", name), []).append((name, weight))
    said = []
    for stem, members in alike.items():
        name = members[0][0] if len(members) == 1 else f"{len(members)} {stem}"
        if config.combined.weighted != "equal":
            name = f"{sum(weight for _, weight in members):.2g} {name if len(members) == 1 else f'({name})'}"
        said.append(name)
    return " + ".join(said)


def check_trainable(config: RunConfig, name: str = "A combined run") -> None:
    """Refuses what is never trained.

    Raises:
        UserError: it is a combined run.
    """
    if config.combined:
        raise UserError(f"{name} is made of finished runs and never trained: `python -m core combine` makes one.")


def changes_of(config: RunConfig) -> list[tuple[str, Any]]:
    """What differs from the defaults of its data set, model and loss: dotted names and values; none if combined.

    A set that is not there, whose run was made elsewhere, has the run's split as its usual one.
    """
    if config.combined:
        return []
    named = [] if config.loss is None or _is_as_chosen(config.data.name, config.loss) else [config.loss.setting]
    try:
        data = default_config(config.data.name)
    except UserError:
        data = config.data
    loss = config.loss.name if config.loss else None
    changes = [change("loss.setting", setting) for setting in named]
    default = _make_config(data, config.model.name, loss, config.seed, changes)
    changed = [("loss.setting", setting) for setting in named]
    return changed + [(name, value) for name, _, value in differences(default, config)]


def _is_as_chosen(data: str, loss: LossConfig) -> bool:
    """Whether a loss starts from what `choose_constants` says, so that its setting need not be named."""
    chosen = choose_constants(data, loss.name)
    return loss.setting == chosen["setting"] and ("mu" not in chosen or loss.mu is not None)
