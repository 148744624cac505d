"""Everything about one label: finding it, its documents, what runs give it, its formulas, its thresholds."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
import scipy.sparse as sp

from core.labels.groups import Borders, group_of, indicator, rows_with
from core.metrics import label_sets, uncertainty

if TYPE_CHECKING:
    from core.data.corpus import Corpus
    from core.metrics.thresholds import Limits

OFFERED = 50
"""Labels that a part of a name offers at most."""


class Outcomes(NamedTuple):
    """Documents of a part by whether they have a label and whether they were given it."""

    tp: int
    fp: int
    fn: int
    tn: int


def find_labels(names: Sequence[str], text: str, *, limit: int = OFFERED) -> list[str]:
    """The labels that a text may mean, the likeliest first.

    Args:
        names: all labels, the most frequent first.
        text: a name, or a part of one; case and blanks around it are ignored.
        limit: labels at most.

    Returns:
        The name alone where it is one; else those with the text in their name, those that begin with it first; else
        those that are spelt nearly so. Empty for an empty text.
    """
    wanted = text.strip().casefold()
    if not wanted:
        return []
    if text in names:
        return [text]
    folded = [name.casefold() for name in names]
    if wanted in folded:
        return [name for name, low in zip(names, folded, strict=True) if low == wanted][:limit]
    holding = [(not low.startswith(wanted), place) for place, low in enumerate(folded) if wanted in low]
    if holding:
        return [names[place] for _, place in sorted(holding)[:limit]]
    if len(wanted) > max(map(len, names), default=0) + 3:
        return []
    near = difflib.get_close_matches(wanted, folded, n=5, cutoff=0.7)
    first = {low: name for name, low in reversed(list(zip(names, folded, strict=True)))}
    return [first[low] for low in near]


def part_table(corpus: Corpus, column: int) -> pd.DataFrame:
    """Documents of a label by part: columns part, documents, of (documents of the part), share (percent; NaN of none).

    Parts without documents are left out.
    """
    rows = []
    for part, places in corpus.parts.items():
        if len(places):
            with_label = int(indicator(corpus.targets_of(part))[:, [column]].sum())
            rows.append((part, with_label, len(places), 100 * with_label / len(places)))
    return pd.DataFrame(rows, columns=["part", "documents", "of", "share"])


def count_errors(targets: sp.csr_array, predicted: sp.csr_array) -> np.ndarray:
    """Hits, wrongly given and missed of every label, (3, L) int64."""
    return np.stack(label_sets.count_errors(targets, predicted))


def outcomes_of(errors: np.ndarray, documents: int, column: int) -> Outcomes:
    """The four numbers of a label from `count_errors` and the number of documents."""
    tp, fp, fn = (int(number) for number in errors[:, column])
    return Outcomes(tp, fp, fn, documents - tp - fp - fn)


def count_outcomes(targets: sp.csr_array, predicted: sp.csr_array, column: int) -> Outcomes:
    """The four numbers of one label over the documents of a part."""
    true, given = (rows_with(matrix, column) for matrix in (targets, predicted))
    tp = int((true & given).sum())
    fp, fn = int(given.sum()) - tp, int(true.sum()) - tp
    return Outcomes(tp, fp, fn, targets.shape[0] - tp - fp - fn)


def run_table(outcomes: Mapping[str, Outcomes]) -> pd.DataFrame:
    """A label in several runs: columns run, f1, low, high (of its interval), precision, recall (percent), tp, fp, fn.

    Precision is NaN where the label is never predicted, recall where no document has it.
    """
    tp, fp, fn = (np.array([getattr(found, name) for found in outcomes.values()], float) for name in ("tp", "fp", "fn"))
    low, high = uncertainty.label_intervals(tp, fp, fn)
    with np.errstate(invalid="ignore"):
        precision, recall = 100 * tp / (tp + fp), 100 * tp / (tp + fn)
    return pd.DataFrame(
        {
            "run": list(outcomes),
            "f1": 100 * label_sets.f1(tp, fp, fn),
            "low": 100 * low,
            "high": 100 * high,
            "precision": precision,
            "recall": recall,
            **{name: values.astype(np.int64) for name, values in (("tp", tp), ("fp", fp), ("fn", fn))},
        }
    )


def formulas(found: Outcomes) -> str:
    """Precision, recall and F1 of a label in LaTeX, with its numbers in them."""
    tp, fp, fn, _ = found
    lines = (
        _ratio(r"\text{precision}", r"\frac{TP}{TP+FP}", (tp,), (tp, fp)),
        _ratio(r"\text{recall}", r"\frac{TP}{TP+FN}", (tp,), (tp, fn)),
        _ratio(r"F_1", r"\frac{2\,TP}{2\,TP+FP+FN}", (2 * tp,), (2 * tp, fp, fn)),
    )
    return _aligned(lines)


def pooled_formulas(errors: np.ndarray, column: int) -> str:
    """Micro-F1 and macro-F1 of all labels in LaTeX, with the numbers in them: one pools counts, one averages F1.

    Args:
        errors: of `count_errors`, (3, L).
        column: the label whose F1 the mean begins with.
    """
    sums = [int(total) for total in errors.sum(axis=1)]
    each = label_sets.f1(*errors)
    labels, own, rest = len(each), float(each[column]), float(each.sum() - each[column])
    mean = rf"\text{{macro-}}F_1 &= \frac1L\sum_i F_{{1,i}} \\ &= \frac{{{own:.3f}+{rest:.3f}}}{{{labels:,}}}"
    return _aligned(
        (
            _ratio(
                r"\text{micro-}F_1",
                r"\frac{2\sum TP}{2\sum TP+\sum FP+\sum FN}",
                (2 * sums[0],),
                (2 * sums[0], *sums[1:]),
            ),
            f"{mean} = {each.mean():.3f}",
        )
    )


def _ratio(name: str, formula: str, above: Iterable[int], below: Iterable[int]) -> str:
    """Two lines of LaTeX: name and formula; the same with numbers, and the value."""
    above, below = tuple(above), tuple(below)
    top, bottom = ("+".join(f"{number:,}" for number in numbers).replace(",", "{,}") for numbers in (above, below))
    value = f"{sum(above) / sum(below):.3f}" if sum(below) else r"\text{not defined}"
    return rf"{name} &= {formula} \\ &= \frac{{{top}}}{{{bottom}}} = {value}"


def _aligned(lines: Iterable[str]) -> str:
    strut = r"\rule{0pt}{2em}"  # the first fraction would lose its top
    return rf"\begin{{aligned}}{strut}" + r" \\[6pt] ".join(lines) + r"\end{aligned}"


def confused_labels(
    targets: sp.csr_array, predicted: sp.csr_array, labels: Sequence[str], column: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What a label is confused with, most documents first.

    Returns:
        Of the documents that miss the label: columns label, swapped (given wrongly in its place), absorbed (given
        rightly beside it), total. Of those that were given it wrongly: columns label (that they miss), swapped.
    """
    cases = find_cases(targets, predicted, column)
    true, given = (indicator(matrix).astype(np.int64) for matrix in (targets, predicted))
    here, there = cases["missed"], cases["wrongly given"]
    hit = np.asarray(true[here].multiply(given[here]).sum(axis=0))
    lost = pd.DataFrame({"label": list(labels), "swapped": given[here].sum(axis=0) - hit, "absorbed": hit})
    lost["total"] = lost["swapped"] + lost["absorbed"]
    kept = np.asarray(true[there].multiply(given[there]).sum(axis=0))
    gained = pd.DataFrame({"label": list(labels), "swapped": true[there].sum(axis=0) - kept})
    return _most(lost, "total"), _most(gained, "swapped")


def _most(table: pd.DataFrame, by: str) -> pd.DataFrame:
    return table[table[by] > 0].sort_values(by, ascending=False, kind="stable").reset_index(drop=True)


def find_cases(targets: sp.csr_array, predicted: sp.csr_array, column: int) -> dict[str, np.ndarray]:
    """Places of a part's documents by what happened to a label: hit, missed, wrongly given; rising."""
    true, given = (rows_with(matrix, column) for matrix in (targets, predicted))
    cases = {"hit": true & given, "missed": true & ~given, "wrongly given": given & ~true}
    return {name: np.flatnonzero(found) for name, found in cases.items()}


def threshold_of(limits: Limits | None, column: int) -> float:
    """The threshold of a label; NaN where labels are chosen by rank."""
    if limits is None:
        return float("nan")
    values = np.asarray(limits, np.float64)
    return float(values if values.ndim == 0 else values[column])


def describe(names: Sequence[str], counts: Sequence[int] | np.ndarray, column: int, borders: Borders) -> dict[str, Any]:
    """Group, rank, and how many labels are as rare or rarer: keys group, rank, labels, rarer."""
    known = np.asarray(counts)
    rarer = int((known < known[column]).sum())
    return {"group": str(group_of(known, borders)[column]), "rank": column + 1, "labels": len(names), "rarer": rarer}
