"""Tables of runs: the rows of `report --json`, and the paper's Tables 2 and 3 with the published rows beside ours."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import Any

import pandas as pd

from core import store
from core.config import PAPER_LOSSES, UserError
from core.store import Run

GROUPS = {
    2: {"total": "all", "head": "head", "medium": "medium", "tail": "tail"},
    3: {"total": "all", "single": "single_label", "multi": "multi_label"},
}
"""Column groups of the paper's tables and the key of each in a run's scores."""
SCORES = {"micro": "micro_f1", "macro": "macro_f1"}
SCORE_COLUMNS = {
    table: [f"{group}_{score}" for group in groups for score in SCORES] for table, groups in GROUPS.items()
}
METHODS = ("svm", *PAPER_LOSSES)
"""Row order of the paper's tables."""


@cache
def published() -> dict[str, Any]:
    """The numbers of Huang et al., EMNLP 2021, Tables 2 and 3, in percent."""
    return json.loads(files("core").joinpath("published.json").read_text("utf-8"))


def run_row(run: Run) -> dict[str, Any]:
    """One run as `report --json` prints it; scores are fractions, and None until it has finished.

    Raises:
        UserError: the run's settings or its scores are damaged.
    """
    if run.config is None:
        raise UserError(run.problem)
    metrics = store.read_metrics(run) if run.state == "finished" else {}
    return {
        "run": run.id,
        "data": run.config.data.name,
        "model": run.config.model.name,
        "loss": run.config.loss.name if run.config.loss else None,
        "seed": run.config.seed,
        "state": run.state,
        "threshold": metrics.get("threshold"),
        "test": metrics.get("test"),
        "seconds": metrics.get("seconds"),
    }


def run_rows(runs: Iterable[Run]) -> list[dict[str, Any]]:
    """The `runs` of `report --json`, in the given order."""
    return [run_row(run) for run in runs]


def method(row: dict[str, Any]) -> str:
    """What a row is called in the paper's tables: the loss, or the model if that has its own."""
    return row["loss"] or row["model"]


def comparison(runs: Iterable[Run], *, table: int = 2, with_published: bool = True) -> pd.DataFrame:
    """Table 2 (frequency groups) or 3 (numbers of labels) of finished runs, published rows first for each method.

    Returns:
        A frame with the columns source ("published" or "run"), method, data, model, loss, seed, run, then
        `SCORE_COLUMNS[table]` in percent (missing where a group is empty), in the row order of the paper.

    Raises:
        UserError: the table is neither 2 nor 3.
    """
    if table not in GROUPS:
        raise UserError(f"There is no table {table} to fill: choose 2 or 3.")
    rows = []
    for row in run_rows(run for run in runs if run.state == "finished"):
        scores = {
            f"{group}_{score}": _percent(row["test"].get(key, {}).get(name))
            for group, key in GROUPS[table].items()
            for score, name in SCORES.items()
        }
        identity = {key: row[key] for key in ("data", "model", "loss", "seed", "run")}
        rows.append({"source": "run", "method": method(row), **identity, **scores})
    for data in sorted({_published_name(row["data"]) for row in rows} - {""}) if with_published else []:
        for name, values in published()[f"table{table}"][data].items():
            if table == 2 or len(values) == len(SCORE_COLUMNS[3]):
                rows.append(
                    {"source": "published", "method": name, "data": data}
                    | dict(zip(SCORE_COLUMNS[table], values, strict=True))
                )
    columns = ["source", "method", "data", "model", "loss", "seed", "run", *SCORE_COLUMNS[table]]
    frame = pd.DataFrame(rows, columns=columns)
    order = {name: place for place, name in enumerate(METHODS)}
    keys = frame["method"].map(lambda name: order.get(name, len(order)))
    frame = frame.assign(_order=keys).sort_values(["_order", "method", "source", "model", "seed"], kind="stable")
    return frame.drop(columns="_order").reset_index(drop=True).astype({"seed": "Int64"})


def _published_name(data: str) -> str:
    return next((name for name in ("reuters", "pubmed") if data == name or data.startswith(f"{name}-")), "")


def _percent(fraction: float | None) -> float | None:
    return None if fraction is None else 100 * fraction


def to_latex(frame: pd.DataFrame) -> str:
    """A comparison as a LaTeX table in the form of the paper's (booktabs, one column group per label group)."""
    scores = [column for column in frame.columns if column.partition("_")[2] in SCORES]
    heads = [(column.partition("_")[0].capitalize(), f"{column.partition('_')[2]}-F1") for column in scores]
    seeds = frame["seed"].map(lambda seed: "" if pd.isna(seed) else f", seed {seed}")
    names = frame["method"] + frame["source"].map({"published": " (published)", "run": ""}) + seeds
    values = frame[scores].astype(float).set_axis(pd.MultiIndex.from_tuples(heads), axis=1).set_axis(names, axis=0)
    values.index.name = None
    return values.to_latex(
        float_format="%.2f", na_rep="--", escape=True, multicolumn_format="c", column_format="l" + "r" * len(scores)
    )


def to_csv(frame: pd.DataFrame) -> str:
    """A comparison as CSV; scores in percent with two decimals."""
    return frame.to_csv(index=False, float_format="%.2f")
