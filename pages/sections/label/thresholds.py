"""What each rule makes of a label: its threshold, and hits and errors on validation and test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from core.analysis import errors, one_label, what_if
from core.analysis.what_if import Chosen
from core.figures.errors import precision_recall_chart
from core.system.errors import UserError
from pages.sections.errors.chosen import predict_at
from pages.sections.label import show_no_run
from pages.shared.loaders import load_predictions
from pages.shared.menu import link
from pages.shared.text import plain

if TYPE_CHECKING:
    from pages.sections.label import Label


def show(label: Label) -> None:
    """A row a rule, and the precision-recall curve on test."""
    if label.run is None:
        show_no_run()
        return
    rows, problems = [], {}
    for name in what_if.name_readings(label.run):
        row: dict[str, object] = {"rule": name}
        try:
            for part in ("validation", "test"):
                limits, predicted = predict_at(label.run, Chosen(name), part)
                row["threshold"] = one_label.threshold_of(limits, label.column)
                found = one_label.count_outcomes(load_predictions(label.run, part).targets, predicted, label.column)
                row[f"{part} f1"] = float(one_label.run_table({name: found})["f1"].iloc[0])
                row[part] = f"{found.tp:,} / {found.fp:,} / {found.fn:,}"
        except UserError as error:
            problems[str(error)] = name
            continue
        rows.append(row)
    with st.container():
        st.caption("Every rule is fitted on validation alone; test is what it gives.")
        config = st.column_config
        st.dataframe(
            rows,
            hide_index=True,
            height="content",
            column_order=["rule", "threshold", "validation f1", "test f1", "validation", "test"],
            placeholder="–",
            column_config={
                "threshold": config.NumberColumn(format="%.4g"),
                "validation f1": config.NumberColumn("F1 on validation (%)", format="%.1f"),
                "test f1": config.NumberColumn("F1 on test (%)", format="%.1f"),
                **{part: config.TextColumn(f"{part}: hit / wrong / missed") for part in ("validation", "test")},
            },
            alt="Threshold of the label by each rule, with hits and errors",
        )
        for problem in problems:
            st.caption(plain(problem))
    with st.container(width=560):
        predictions = load_predictions(label.run)
        curve = errors.precision_recall(predictions, label.column)
        if curve.empty:
            st.caption("No test document has this label, so there is no curve.")
        else:
            found = one_label.count_outcomes(
                predictions.targets, predict_at(label.run, Chosen(what_if.AS_TRAINED))[1], label.column
            )
            now = one_label.run_table({"now": found}).fillna(0).iloc[0]
            chart = precision_recall_chart(curve, {"precision": now["precision"], "recall": now["recall"]})
            st.altair_chart(chart, alt="Precision and recall of the label at every threshold")
            st.caption("On test; the ring is the threshold of the training.")
    link("errors", "Move it on Errors", {"run": label.run.id, "view": "Labels", "label": label.name})
