"""What losses give to frequency groups and to the labels of a document, as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from core.analysis.loss_words import MILLION, ratio_in_words
from core.labels.groups import FREQUENCY_GROUPS, Borders, group_sizes


def ratios_in_words(means: pd.DataFrame) -> str:
    """What a tail label that is there weighs in units of a head label, a line of Markdown for each loss.

    Args:
        means: of `core.analysis.loss_weights.group_weights`, positives.
    """
    words = [(row["loss"], ratio_in_words(row)) for row in means.to_dict("records")]
    return "\n".join(f"- **{title}**: {word}." for title, word in words if word)


def push_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Push up against push down of each group: columns loss, head, medium, tail, with `1.3 : 1`, `all up` or None.

    Args:
        frame: of `core.analysis.loss_effects.gradient_mass`, one loss after the other.
    """
    sizes = {(row["loss"], row["group"], row["side"]): float(row["mass"]) for row in frame.to_dict("records")}
    rows = []
    for title in dict.fromkeys(frame["loss"]):
        row: dict[str, str | None] = {"loss": title}
        for group in FREQUENCY_GROUPS:
            up, down = (sizes.get((title, group, side), 0.0) for side in ("positive", "negative"))
            row[group] = _as_ratio(up, down)
        rows.append(row)
    return pd.DataFrame(rows, columns=["loss", *FREQUENCY_GROUPS])


def _as_ratio(up: float, down: float) -> str | None:
    """Two sizes as `3.2 : 1` or `1 : 3.2`; None where both are 0 or one is no number."""
    if not (np.isfinite(up) and np.isfinite(down)) or up == down == 0:
        return None
    high, low = max(up, down), min(up, down)
    if low == 0:
        return "all up" if up > 0 else "all down"
    ratio = high / low
    words = "over a million" if ratio > MILLION else f"{ratio:.3g}" if ratio < 1000 else f"{ratio:,.0f}"
    return f"{words} : 1" if up >= down else f"1 : {words}"


# Charts.


def group_bands(counts: np.ndarray, borders: Borders) -> pd.DataFrame:
    """Columns group, start and end rank (halves between labels) of head, medium and tail; empty groups are left out."""
    sizes = group_sizes(counts, borders)
    ends = np.cumsum(list(sizes.values()))
    frame = pd.DataFrame({"group": list(sizes), "start": np.r_[0, ends[:-1]] + 0.5, "end": ends + 0.5})
    return frame[frame["end"] > frame["start"]]


def document_labels(frame: pd.DataFrame, most: int = 8) -> list[int]:
    """The columns worth showing of a document: its own labels, and the negatives that get most of any loss's gradient.

    Args:
        frame: of `core.analysis.loss_effects.document_frame`, losses one after the other.
        most: negatives.
    """
    size = frame["push"].abs()
    share = size / size.groupby(frame["loss"]).transform("sum").where(lambda total: total > 0, 1.0)
    largest = share.groupby(frame["column"]).max()
    own = sorted(frame.loc[frame["positive"], "column"].unique().tolist())
    return own + largest.drop(own).nlargest(most).index.tolist()


def document_table(
    frame: pd.DataFrame, labels: Sequence[str], columns: Sequence[int], *, quantity: str
) -> pd.DataFrame:
    """One quantity for every label under every loss: columns label, there, logit, and one for each loss.

    Args:
        frame: of `core.analysis.loss_effects.document_frame`, losses one after the other.
        labels: all names.
        columns: the rows' labels.
        quantity: weight, value or push.
    """
    wide = frame.pivot(index="column", columns="loss", values=quantity)
    order = list(dict.fromkeys(frame["loss"]))
    first = frame.drop_duplicates("column").set_index("column")
    about = pd.DataFrame(
        {
            "label": [labels[column] for column in columns],
            "there": first.loc[columns, "positive"].to_numpy(),
            "logit": first.loc[columns, "logit"].to_numpy(),
        }
    )
    return pd.concat([about, wide.loc[columns, order].reset_index(drop=True)], axis=1)


def document_mass(frame: pd.DataFrame, groups: Mapping[str, slice]) -> pd.DataFrame:
    """A document's absolute gradient by loss, side and frequency group, for `gradient_shares`.

    Args:
        frame: of `core.analysis.loss_effects.document_frame`, losses one after the other.
        groups: of `core.analysis.loss_effects.group_slices`.
    """
    ends = [part.stop for part in groups.values()]
    group = np.array(FREQUENCY_GROUPS)[np.searchsorted(ends, frame["column"], side="right").clip(max=2)]
    side = np.where(frame["positive"], "positive", "negative")
    rows = frame.assign(group=group, side=side, mass=frame["push"].abs())
    return rows.groupby(["loss", "side", "group"], sort=False, as_index=False)["mass"].sum()
