"""What is worth knowing of a data set before training: findings, the weightiest first, each with its table."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from core.analysis import dataset
from core.analysis.loss_cautions import is_mu_far, mu_caution
from core.config.defaults import MODELS
from core.config.schema import ModelConfig
from core.data.documents import name_document
from core.labels import measures
from core.labels.cooccurrence import Cooccurrence, inseparable
from core.labels.groups import Borders, count_documents
from core.losses.presets import LOSSES, Setting

if TYPE_CHECKING:
    from core.data.corpus import Corpus
    from core.runs.folder import Run

COMPARED = 60_000
"""Documents whose texts are compared for copies; a larger set would take seconds."""
TOGETHER = 5
"""Documents of a label at least that is said to come always with another."""
START = "where new runs start"
"""Of a mu that no run has yet."""
LISTED = 200
"""Rows of a finding's table at most."""


FEW = 50
"""Train documents up to which a label is rare enough for plain cross-entropy to miss it."""


@dataclass(frozen=True)
class Finding:
    """One thing to know, and where to act on it.

    Attributes:
        kind: tail, together, absent, copies, cut, drift or constants.
        headline: a sentence with the numbers in it.
        meaning: why it matters and what helps.
        weight: how much it matters, 0 to 1: findings are listed by it.
        table: what the chart or list beside it shows.
        page: where to act, by its name in the menu.
        query: of its address.
        action: words of the link.
    """

    kind: str
    headline: str
    meaning: str
    weight: float
    table: pd.DataFrame
    page: str
    query: dict[str, str]
    action: str


def rank(findings: Sequence[Finding | None]) -> list[Finding]:
    """Those that there are, the weightiest first."""
    return sorted((found for found in findings if found), key=lambda found: -found.weight)


def find_tail(corpus: Corpus, borders: Borders) -> Finding | None:
    """How many labels are in the tail, and how little of the assignments they own."""
    table = measures.group_shares(corpus.counts, borders).set_index("group")
    labels, share = int(table.loc["tail", "labels"]), float(table.loc["tail", "share_of_assignments"])
    if not labels or np.isnan(share):
        return None
    part = labels / len(corpus.labels)
    return Finding(
        "tail",
        f"{labels:,} of {len(corpus.labels):,} labels are in the tail and own {share:.1%} of the assignments.",
        f"A tail label has at most {borders.tail:,} train documents. "
        + (
            "Plain cross-entropy with one threshold hardly ever predicts it: balanced losses and the rule quiet are "
            "made for it."
            if borders.tail <= FEW
            else "That is enough for plain cross-entropy to learn it: balanced losses can add little here."
        ),
        0.5 + part / 4 if borders.tail <= FEW else 0.1,
        table.reset_index(),
        "loss_weights",
        {},
        "What each loss does to them",
    )


def find_together(corpus: Corpus, pairs: Cooccurrence) -> Finding | None:
    """Labels that never come without another one."""
    table = inseparable(pairs, floor=TOGETHER, limit=LISTED)
    if not len(table):
        return None
    named = dataset.pair_table(table, corpus.labels)
    first, number = named.iloc[0], int(table["label"].nunique())
    many = f"{number:,}{'+' if len(table) == LISTED else ''} labels never come"
    return Finding(
        "together",
        f"{'1 label never comes' if number == 1 else many} without another one.",
        f"Every one of the {int(first['both']):,} train documents with {first['label']} has {first['other']} as well. "
        "A classifier cannot tell such labels apart by anything but their counts.",
        0.35 + min(0.2, number / len(corpus.labels)),
        named,
        "explorer",
        {"view": "Look-alikes"},
        "Labels that never come alone",
    )


def find_absent(corpus: Corpus) -> Finding | None:
    """Labels that no part can teach, and labels that no part can test."""
    counts = {part: count_documents(corpus.targets_of(part)) for part in ("train", "test")}
    taught, tested = (counts[part] > 0 for part in ("train", "test"))
    lacking = np.flatnonzero(~taught | ~tested)
    if not len(lacking) or not len(corpus.parts["test"]):
        return None
    table = pd.DataFrame(
        {"label": [corpus.labels[c] for c in lacking], **{part: counts[part][lacking] for part in counts}}
    )
    sentences = [
        f"{int(missing.sum()):,} {'label has' if missing.sum() == 1 else 'labels have'} no {part} document"
        for part, missing in (("train", ~taught), ("test", ~tested))
        if missing.any()
    ]
    return Finding(
        "absent",
        f"{' and '.join(sentences)}.",
        "What has no train document cannot be learnt; what has no test document counts as 0 in macro-F1 whatever a "
        "model does. Another split, or fewer labels, makes them measurable.",
        0.4 + 0.4 * len(lacking) / len(corpus.labels),
        table[:LISTED],
        "explorer",
        {"view": "Drift", "against": "test", "drift": "Absent"},
        "Which labels they are",
    )


def find_copies(corpus: Corpus) -> Finding | None:
    """Documents with the same text, above all those of test that stand in train as well.

    A set of more than `COMPARED` documents has none: its texts are not compared.
    """
    if sum(map(len, corpus.parts.values())) > COMPARED:
        return None
    first: dict[bytes, tuple[str, int]] = {}
    rows = []
    for part, places in corpus.parts.items():
        for row in places.tolist():
            text = " ".join(corpus.text(row).lower().split())
            if not text:
                continue
            key = hashlib.blake2b(text.encode(), digest_size=16).digest()
            if key in first:
                rows.append((part, row, *first[key]))
            else:
                first[key] = (part, row)
    if not rows:
        return None
    leaks = sum(part != other for part, _, other, _ in rows)
    unlike = sum(corpus.targets[[row]].indices.tolist() != corpus.targets[[like]].indices.tolist()
                 for _, row, _, like in rows)  # fmt: skip
    table = pd.DataFrame(
        [
            {"document": name_document(corpus, row), "part": part, "same as": name_document(corpus, like), "in": other}
            for part, row, other, like in sorted(rows, key=lambda found: found[0] == found[2])[:LISTED]
        ]
    )
    return Finding(
        "copies",
        f"{len(rows):,} {'document repeats' if len(rows) == 1 else 'documents repeat'} the text of another one, "
        f"{leaks:,} of them across parts.",
        f"What a model has read in training it need not understand in the test: scores look better than they are. "
        f"Of the copies, {unlike:,} {'has' if unlike == 1 else 'have'} other labels than what is repeated.",
        (0.45 + min(0.5, 5 * leaks / max(1, len(corpus.parts["test"])))) if leaks else 0.2,
        table,
        "add_data",
        {},
        "Add the set without copies",
    )


def find_cut(lengths: pd.DataFrame) -> Finding | None:
    """How many texts are longer than what the transformer reads of them.

    Args:
        lengths: of `core.data.documents.measure_lengths`.
    """
    limit = int(MODELS["transformer"].defaults.get("model", {}).get("max_length", ModelConfig().max_length))
    longer = dataset.share_longer(lengths, limit) if len(lengths) else 0.0
    if longer < 0.02:
        return None
    return Finding(
        "cut",
        f"{longer:.0%} of the texts are longer than the {limit} tokens that the transformer reads.",
        "What stands after them is never seen. A larger length costs time in proportion; tfidf reads everything.",
        0.15 + longer / 2,
        lengths,
        "launcher",
        {"models": "transformer", "set.model.max_length": str(min(512, 2 * limit))},
        f"Train with {min(512, 2 * limit)} tokens",
    )


def find_drift(table: pd.DataFrame, one: str, other: str) -> Finding | None:
    """Labels whose share differs between two parts by more than luck.

    Args:
        table: of `core.labels.measures.drift`.
        one: the first part.
        other: the second part.
    """
    drifted = table[table["q"] <= measures.FALSE_SHARE]
    if not len(drifted):
        return None
    first = drifted.loc[drifted["p"].idxmin()]
    more = "more" if first["other_share"] > first["share"] else "less"
    return Finding(
        "drift",
        f"{len(drifted):,} of {len(table):,} labels {'is' if len(drifted) == 1 else 'are'} more or less frequent in "
        f"{other} than in {one}, beyond luck.",
        f"Most of all {first['label']}, {more} frequent in {other}. Thresholds and scores of such labels carry over "
        "badly: a split by chance, or by time on purpose, explains it.",
        0.4 + 0.4 * len(drifted) / len(table),
        drifted.sort_values("p").head(LISTED),
        "explorer",
        {"view": "Drift", "against": other},
        "Labels that drift",
    )


def list_mus(setting: Setting, runs: Iterable[Run]) -> dict[str, float]:
    """The values of mu that are in use on a data set, by where they come from.

    Args:
        setting: from which new runs on the set start; `plain` has no mu of its own and follows the authors' rule.
        runs: on the set; those without a mu, or with the rule's, are left out.
    """
    mus = {START: LOSSES["db"].defaults(setting, 0.0)["mu"]} if setting != "plain" else {}
    for run in runs:
        loss = run.config.loss
        if loss is None or "mu" not in LOSSES[loss.name].constants:
            continue
        if isinstance(loss.mu, int | float):
            mus[run.id] = float(loss.mu)
        elif loss.mu is None and loss.setting != "plain":
            mus[run.id] = LOSSES[loss.name].defaults(loss.setting, 0.0)["mu"]
    return mus


def find_constants(rule: float, mus: Mapping[str, float]) -> Finding | None:
    """Values of mu that are far from what the authors' rule gives on this set.

    Args:
        rule: mu by the rule.
        mus: of `list_mus`.
    """
    far = {where: mu for where, mu in mus.items() if is_mu_far(mu, rule)}
    if not far:
        return None
    worst = max(far.values(), key=lambda mu: abs(mu - rule))
    table = pd.DataFrame({"where": list(mus), "mu": list(mus.values()), "by the rule": rule})
    table["far"] = [where in far for where in mus]
    runs = sum(place in far for place in mus if place != START)
    trained = f" {runs:,} {'run has' if runs == 1 else 'runs have'} such a mu." if runs else ""
    return Finding(
        "constants",
        f"mu = {worst:g} does not suit this set: by the authors' rule it is {rule:.3f}.",
        f"{mu_caution(worst, rule).capitalize()}{trained} The losses r-fl, ntr-fl, db-0fl and db read it. Whether the "
        "rule's value scores better is a question of two runs.",
        0.3 + min(0.3, abs(worst - rule) / 2),
        table.sort_values("far", ascending=False, kind="stable").head(LISTED).reset_index(drop=True),
        "loss_weights",
        {"loss": "db"},
        "See what it does, and set it",
    )
