"""Losses in words and as formulas: title, origin, LaTeX with the numbers in it, calls that make them."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from core.analysis.loss_effects import Choice
from core.config.defaults import LOSS_NAMES
from core.config.schema import DataConfig
from core.losses.presets import CONSTANTS, LOSSES
from core.runs.plan import choose_constants

# In words and as a formula.


def title_of(name: str) -> str:
    """The loss's full name."""
    return LOSSES[name].title


def origin(name: str) -> str:
    """Where the loss comes from and how its scores become decisions, in a sentence."""
    decide = "logit above 0" if LOSSES[name].decision == "logit > 0" else "a threshold fitted on validation"
    return f"{LOSSES[name].source}. Decide by {decide}."


def formula(name: str, values: Mapping[str, float], documents: int) -> str:
    """The loss of document k and label i in LaTeX, with the numbers in it.

    Args:
        name: of the loss.
        values: all its constants.
        documents: N.
    """
    if name in FORMULAS:
        lines = FORMULAS[name](dict(values), documents)
    else:
        lines = _named(name, values) if LOSSES[name].function else _slots(name, values, documents)
    return r"\begin{aligned}" + r" \\[3pt] ".join(lines) + r"\end{aligned}"


def _slots(name: str, values: Mapping[str, float], documents: int) -> list[str]:
    preset = LOSSES[name]
    side, stretch = values.get("focal_alpha"), values.get("neg_scale", 1.0)
    weight = {"one": "", "class-balanced": "w_i", "rebalanced": r"\hat r_{ki}"}[preset.weight]
    margin = r"z_{ki}-\nu_i" if values.get("kappa") else "z_{ki}"
    on_negatives = values["scale"] * (1 if side is None else 1 - side) / (stretch if preset.damped else 1)
    gamma, miss = values.get("gamma", 0), "p" if stretch == 1 else "q"
    # The loss of a label that is there, and of one that is not.
    there = [
        _times(values["scale"] * (1 if side is None else side)),
        weight,
        rf"(1-p)^{{{_number(gamma)}}}" if gamma else "",
        r"\left(-\log p\right)",
    ]
    absent = [
        _times(on_negatives),
        weight if values.get("reweight_negatives", True) else "",
        rf"{miss}^{{{_number(gamma)}}}" if gamma else "",
        rf"\left(-\log (1-{miss})\right)",
    ]
    # Their lines, then those that define q, the weight and the shift, as far as they are used.
    lines = [_case(1, there), _case(0, absent), rf"&p=\sigma({margin})"]
    if stretch != 1:
        bracket = rf"({margin})" if values.get("kappa") else margin
        lines.append(rf"&q=\sigma({_times(stretch)}{bracket})")
    if preset.weight == "class-balanced":
        beta = _number(values["cb_beta"])
        lines.append(rf"&w_i=\frac{{1-{beta}}}{{1-{beta}^{{\,n_i}}}}")
    if preset.weight == "rebalanced":
        lines.append(
            rf"&\hat r_{{ki}}={_number(values['alpha'])}+\sigma\left({_number(values['beta'])}\,"
            rf"(r_{{ki}}-{_number(values['mu'])})\right)"
        )
        lines.append(r"&r_{ki}=\frac{1/n_i}{\sum_{j\in k}1/n_j}")
    if values.get("kappa"):
        lines.append(_shift(values["kappa"], documents))
    return lines


def _named(name: str, values: Mapping[str, float]) -> list[str]:
    """A loss without a formula here: its name, and its constants with their numbers."""
    numbers = r",\ ".join(f"{CONSTANTS[key].symbol}={_number(value)}" for key, value in values.items())
    return [rf"&\text{{{LOSSES[name].title}}}", f"&{numbers}"]


def _case(target: int, factors: Sequence[str]) -> str:
    return rf"y_{{ki}}={target}:\quad & {_product(factors)}"


def _product(factors: Sequence[str]) -> str:
    return r"\,".join(factor.removesuffix(r"\,") for factor in factors if factor)


def _times(value: float) -> str:
    return "" if value == 1 else f"{_number(value)}" + r"\,"


def _number(value: float) -> str:
    if not math.isfinite(value):
        return r"\infty"
    text = f"{value:.4g}"
    if "e" in text:
        digits, power = text.split("e")
        return rf"{digits}\cdot 10^{{{int(power)}}}"
    return text


def _shift(kappa: float, documents: int) -> str:
    return rf"&\nu_i={_times(kappa)}\log\left(\frac{{{documents}}}{{n_i}}-1\right)"


def _asymmetric(v: dict[str, float], first: str) -> list[str]:
    absent = [_times(v["scale"]), rf"q^{{{_number(v['gamma_neg'])}}}", r"\left(-\log(1-q)\right)"]
    margin = _number(v["prob_margin"])
    where = rf"&p=\sigma(z_{{ki}}),\quad q=\max(p-{margin},\,0)"
    return [_case(1, [_times(v["scale"]), first]), _case(0, absent), where]


def _propensity_factor(documents: int, v: Mapping[str, float]) -> float:
    try:
        return max(0.0, math.log(documents) - 1) * float((v["prop_b"] + 1) ** v["prop_a"])
    except OverflowError:
        return math.inf


FORMULAS: dict[str, Callable[[dict[str, float], int], list[str]]] = {
    "asl": lambda v, _: _asymmetric(v, rf"(1-p)^{{{_number(v['gamma_pos'])}}}\left(-\log p\right)"),
    "apl": lambda v, _: _asymmetric(
        v,
        rf"(1-p)^{{{_number(v['gamma_pos'])}}}\left(-\log p-({_number(v['poly_1'])})(1-p)"
        rf"-\tfrac{{{_number(v['poly_2'])}}}{{2}}(1-p)^2\right)",
    ),
    "zlpr": lambda v, _: [
        rf"\ell_k=&{_times(v['scale'])}\log\Big(1+\sum_{{i\in k}}e^{{-z_{{ki}}}}\Big)",
        rf"&+{_times(v['scale'])}\log\Big(1+\sum_{{i\notin k}}e^{{z_{{ki}}}}\Big)",
    ],
    "logit-adjusted": lambda v, n: [
        _case(1, [_times(v["scale"]), r"\left(-\log p\right)"]),
        _case(0, [_times(v["scale"]), r"\left(-\log(1-p)\right)"]),
        r"&p=\sigma(z_{ki}-\nu_i)",
        _shift(v["tau"], n),
    ],
    "hill": lambda v, _: [
        _case(1, [_times(v["scale"]), rf"(1-q)^{{{_number(v['gamma'])}}}\left(-\log q\right)"]),
        _case(0, [_times(v["scale"]), rf"({_number(v['hill_lambda'])}-p)\,p^2"]),
        rf"&p=\sigma(z_{{ki}}),\quad q=\sigma(z_{{ki}}-{_number(v['logit_margin'])})",
    ],
    "dice": lambda v, _: [
        rf"\ell_i=&{_times(v['scale'])}\left(1-\frac{{2\sum_k a_{{ki}}y_{{ki}}+{_number(v['smooth'])}}}"
        rf"{{\sum_k a_{{ki}}+\sum_k y_{{ki}}+{_number(v['smooth'])}}}\right)",
        rf"&a_{{ki}}=(1-p)^{{{_number(v['dice_alpha'])}}}\,p,\quad p=\sigma(z_{{ki}})",
    ],
    "two-way": lambda v, _: [
        rf"\ell=&{_times(v['scale'])}\operatorname{{mean}}_k\,\log\left(1+e^{{N_k+P_k}}\right)",
        r"&+\ \text{the same over documents, by label}",
        rf"N_k=&{_times(v['temp_neg'])}\log\sum_{{i\notin k}}e^{{z_{{ki}}/{_number(v['temp_neg'])}}}",
        rf"P_k=&{_times(v['temp_pos'])}\log\sum_{{i\in k}}e^{{-z_{{ki}}/{_number(v['temp_pos'])}}}",
    ],
    "soft-f1": lambda v, _: [
        rf"\ell_i=&{_times(v['scale'])}\left(1-\frac{{2\sum_k p_{{ki}}\,y_{{ki}}}}"
        r"{\sum_k p_{ki}+\sum_k y_{ki}}\right)",
        r"&p_{ki}=\sigma(z_{ki})",
    ],
    "propensity": lambda v, n: [
        _case(1, [_times(v["scale"]), r"(2/\pi_i-1)", r"\left(-\log p\right)"]),
        _case(0, [_times(v["scale"]), r"\left(-\log(1-p)\right)"]),
        r"&p=\sigma(z_{ki})",
        rf"&1/\pi_i=1+{_number(_propensity_factor(n, v))}\,"
        rf"(n_i+{_number(v['prop_b'])})^{{-{_number(v['prop_a'])}}}",
    ],
}
"""Lines of LaTeX, of the constants and N, for the losses that are more than slots of the equation."""


def ratio_in_words(row: Mapping[str, float]) -> str:
    """What a tail label weighs in units of a head label, in a clause; empty where a group has no pairs.

    Args:
        row: of `core.analysis.loss_weights.group_weights`, positives.
    """
    head, tail = row["head"], row["tail"]
    if not (head > 0 and tail > 0):
        return ""
    ratio = tail / head
    if abs(ratio - 1) < 0.05:
        return "a tail label that is there weighs as much as a head label"
    return f"a tail label that is there weighs {times(ratio)} a head label"


MOVED = 0.02
"""Share of the gradient that has moved elsewhere from which it is told."""
MILLION = 1e6
"""Beyond this factor, up or down, its size is not told: it says nothing more."""


def times(ratio: float) -> str:
    """A factor in words: `3.7 times`, `0.50 times`, `1/40 of`; beyond a million only that."""
    if ratio > MILLION:
        return "more than a million times"
    if ratio < 1 / MILLION:
        return "less than a millionth of"
    if ratio >= 0.995:
        return f"{ratio:,.0f} times" if ratio >= 20 else f"{ratio:.2g} times"
    return f"{ratio:.2f} times" if ratio >= 0.1 else f"1/{1 / ratio:,.0f} of"


def shift_in_words(shift: pd.DataFrame, tolerance: pd.DataFrame) -> list[str]:
    """For each loss: from which score the rarest label counts as found, and what an easy negative still pushes.

    Args:
        shift: of `core.analysis.loss_effects.shift_frame`, losses one after the other.
        tolerance: of `core.analysis.loss_effects.tolerance_frame`, the same.
    """
    said = []
    for title, rows in shift.groupby("loss", sort=False):
        rare = rows.iloc[-1]
        score = name_score(rare["score"])
        easy = tolerance[(tolerance["loss"] == title) & (tolerance["logit"] == -4)]["share"].iloc[0]
        said.append(
            f"**{title}**: in training the rarest label counts as found from a score of {score} on, not "
            f"0.50; where it is not there and the logit is -4, it pushes {times(easy)} what cross-entropy would."
        )
    return said


def name_score(score: float) -> str:
    """A score with two digits, or more where it would read as 0 or 1: `0.93`, `0.9998`, `above 0.9999`."""
    if score > 0.9999:
        return "above 0.9999"
    return f"{score:.2f}" if score < 0.995 else f"{score:.4f}"


def mass_in_words(frame: pd.DataFrame) -> list[str]:
    """For each loss: the shares of its gradient that go to labels that are there, and to the tail.

    Args:
        frame: of `core.analysis.loss_effects.gradient_mass`, one loss after the other.
    """
    said = []
    for title, rows in frame.groupby("loss", sort=False):
        whole = rows["mass"].sum(skipna=False)
        if not math.isfinite(whole):
            said.append(f"**{title}**: the gradient is beyond what a number can hold.")
            continue
        if not whole > 0:
            said.append(f"**{title}**: no gradient at all.")
            continue
        there, tail = (
            rows.loc[chosen, "mass"].sum() / whole for chosen in (rows["side"] == "positive", rows["group"] == "tail")
        )
        found = rows.loc[(rows["side"] == "positive") & (rows["group"] == "tail"), "mass"].sum() / whole
        said.append(
            f"**{title}**: {_percent(there)} to labels that are there, {_percent(1 - there)} to labels that are not; "
            f"{_percent(tail)} to the tail, {_percent(found)} to tail labels that are there."
        )
    return said


def decision_in_words(frame: pd.DataFrame) -> str:
    """What decides, in a sentence: the largest part of the first loss's gradient, and which loss moves most elsewhere.

    Args:
        frame: of `core.analysis.loss_effects.gradient_mass`, one loss after the other; empty words without a gradient.
    """
    whole = frame.groupby("loss", sort=False)["mass"].transform("sum")
    rows = frame.assign(share=frame["mass"] / whole.where(whole > 0))
    rows = rows[np.isfinite(rows["share"])]
    if not len(rows):
        return ""
    words = {"positive": "are there", "negative": "are not there"}

    def name(row: Mapping[Hashable, Any]) -> str:
        return f"{row['group']} labels that {words[str(row['side'])]}"

    first = rows["loss"].iloc[0]
    shares = rows.set_index(["loss", "side", "group"])["share"]
    largest = max(rows[rows["loss"] == first].to_dict("records"), key=lambda row: row["share"])
    said = f"Under {first} the gradient of {name(largest)} decides: {_percent(largest['share'])} of it"
    others = rows[rows["loss"] != first].to_dict("records")
    gains = [(row["share"] - shares.get((first, row["side"], row["group"]), 0.0), row) for row in others]
    if not gains or max(gains, key=lambda gain: gain[0])[0] < MOVED:
        return f"{said}." + (" The other losses share it out alike." if others else "")
    gain, row = max(gains, key=lambda gain: gain[0])
    before = _percent(row["share"] - gain)
    return f"{said}. {row['loss']} moves most, to {name(row)}: from {before} to {_percent(row['share'])}."


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.1 else f"{share:.2%}"


def python_call(choice: Choice, data: DataConfig) -> str:
    """Python that makes exactly this loss from the data set; it runs as it stands beside `core/`."""
    # The data set as `DataConfig`, without what is the default.
    shown = data.model_dump(exclude_defaults=True) | {"name": data.name, "split": data.split}
    synthetic = shown.pop("synthetic", None)
    made = ", ".join(f"{key}={value!r}" for key, value in shown.items())
    imported = "DataConfig"
    if synthetic:
        made += f", synthetic=SyntheticConfig({', '.join(f'{key}={value!r}' for key, value in synthetic.items())})"
        imported += ", SyntheticConfig"
    # The loss: labels without a train document are masked, as in a run.
    options = [f'"{choice.name}"', "corpus.counts", 'len(corpus.parts["train"])']
    if choice.setting != "reuters":
        options.append(f'setting="{choice.setting}"')
    options += ['on_missing="mask"', *(f"{key}={value!r}" for key, value in choice.changes)]
    functions = "build_loss"
    if is_mu_by_rule(choice):
        options += ['mu="auto"', 'positives=index_pairs(corpus.targets_of("train"))']
        functions += ", index_pairs"
    return (
        f"from core.config.schema import {imported}\nfrom core.data.sources import load\n"
        f"from core.losses import {functions}\n\n"
        f"corpus = load(DataConfig({made}))\n"
        f"loss = build_loss({', '.join(options)})\n"
        "# loss(logits, targets).backward()"
    )


def is_mu_by_rule(choice: Choice) -> bool:
    """Whether the loss reads mu and has it from the authors' rule."""
    return choice.rule_mu is not None and "mu" in LOSSES[choice.name].constants and "mu" not in dict(choice.changes)


def changes_of(choice: Choice, data: str) -> dict[str, str]:
    """What differs from a run's defaults on a data set, by the setting's name: `loss.mu` and its value, as text.

    Args:
        choice: the loss.
        data: name of the data set.
    """
    chosen = choose_constants(data, choice.name)
    ruled = choice.rule_mu is not None
    changed: dict[str, str] = {}
    if choice.setting != chosen["setting"] or ruled != (choice.setting == "plain" and chosen["setting"] == "plain"):
        changed["loss.setting"] = choice.setting
        if is_mu_by_rule(choice):
            changed["loss.mu"] = "auto"
    return changed | {f"loss.{key}": str(value).lower() for key, value in choice.changes}


def can_be_trained(name: str) -> bool:
    """Whether runs can be made with this loss."""
    return name in LOSS_NAMES
