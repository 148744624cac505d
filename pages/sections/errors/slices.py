"""Scores by number of labels and by length, calibration, and every other score of a run."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import streamlit as st

from core.analysis import errors
from core.figures.errors import calibration_chart
from core.labels.groups import Borders
from pages.shared.downloads import offer_csv
from pages.shared.loaders import HASHES, load_metrics, load_predictions, load_texts
from pages.shared.text import plain

if TYPE_CHECKING:
    import pandas as pd

    from core.runs.folder import Run
    from pages.sections.errors.chosen import Shown


@st.cache_data(max_entries=16, show_spinner="Counting words", hash_funcs=HASHES)
def count_words(run: Run, part: str) -> list[int]:
    """Words of each document of a part of a run whose texts are there."""
    corpus, sentence = load_texts(run)
    assert corpus is not None, sentence
    return [len(corpus.text(int(row)).split()) for row in load_predictions(run, part).rows]


@st.cache_data(max_entries=16, show_spinner="Comparing scores with the truth", hash_funcs=HASHES)
def calibrate(run: Run, part: str, borders: Borders) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    """`errors.calibration` of a part; None where the scores are margins."""
    try:
        return errors.calibration(load_predictions(run, part), load_metrics(run)["counts"], borders)
    except ValueError:
        return None


def show(shown: Shown) -> None:
    """Scores by number of labels and by length, calibration, and every other score of the run."""
    column = st.column_config
    percent = {
        name: column.NumberColumn(f"{title} (%)", format="%.1f")
        for name, title in {
            "micro_f1": "micro-F1",
            "macro_f1": "macro-F1",
            "samples_f1": "samples-F1",
            "micro_precision": "precision",
            "micro_recall": "recall",
            "subset_accuracy": "exactly right",
        }.items()
    }
    # By number of labels, and by length where the texts are there.
    st.caption(f"By number of true labels of the {shown.part} document.")
    sizes = errors.size_table(shown.predictions, shown.predicted)
    st.dataframe(sizes, hide_index=True, column_config=percent, alt="Scores by number of labels")
    offer_csv("by-number-of-labels", sizes)
    corpus, sentence = load_texts(shown.run)
    if corpus:
        words = count_words(shown.run, shown.part)
        st.caption(f"By number of words of the {shown.part} document, in four parts.")
        lengths = errors.length_table(shown.predictions, shown.predicted, words)
        st.dataframe(lengths, hide_index=True, column_config=percent, alt="Scores by number of words")
        offer_csv("by-number-of-words", lengths)
    else:
        st.info(plain(sentence))
    # Calibration, and the other scores.
    left, right = st.columns(2, gap="medium")
    with left:
        if (found := calibrate(shown.run, shown.part, shown.borders)) is None:
            st.info("An SVM's margins are no probabilities: there is no calibration to show.")
        else:
            curve, behind = found
            st.caption(
                plain(
                    f"Calibration: share of true labels at each score, where {errors.ENOUGH_SCORES} scores or more "
                    f"stand behind a point. {errors.name_uncurved(behind)}"
                )
            )
            st.altair_chart(calibration_chart(curve), alt="Calibration by frequency group")
            st.dataframe(
                behind,
                hide_index=True,
                height="content",
                column_order=["group", "positives", "predictions", "right", "error"],
                column_config={
                    "positives": column.NumberColumn(format="localized", help="Pairs of a document and a label of it."),
                    "predictions": column.NumberColumn(
                        "scores ≥ .5", format="localized", help="Of any document for any label of the group."
                    ),
                    "right": column.NumberColumn("true", format="localized", help="Of these scores."),
                    "error": column.NumberColumn(
                        "error",
                        format="%.3f",
                        help="Expected calibration error: mean distance of score and share, over all scores.",
                    ),
                },
                alt="What the calibration of each group rests on",
            )
    with right:
        if shown.part != "test":
            st.caption("The other scores of the run are those of test, which is hidden.")
            return
        kept = load_metrics(shown.run).get("scores") or {}
        st.caption("Every other score of the run, at its own threshold, in percent.")
        if not kept:
            st.info("An older version made this run: train it again for mAP, P@k, nDCG@k, PSP@k and the like.")
            return
        st.dataframe(
            errors.all_scores(kept),
            hide_index=True,
            height=360,
            column_config={"value": column.NumberColumn("%", format="%.2f")},
            alt="Other scores of the run",
        )
        offer_csv("scores", partial(errors.all_scores, kept))
        st.caption(plain(errors.macro_sentence(kept)))
