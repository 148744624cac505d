"""Why a label was given: bars that add up to the logit of the stored predictions, and words that are escaped."""

from __future__ import annotations

import html
import math
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from core.analysis import why
from core.analysis.why import Why
from core.data import sources
from core.figures.why import waterfall
from core.metrics import thresholds
from core.runs import folder, scorer
from core.runs.predictions import read_predictions
from core.runs.results import read_results
from tests.helpers.laws import law

NOTHING = pd.DataFrame({"word": [], "adds": []}).astype({"word": str, "adds": float})


@pytest.mark.parametrize(
    ("model", "tolerance"), [("svm", 2e-3), ("tfidf", 2e-2), pytest.param("textcnn", 0.1, marks=pytest.mark.slow)]
)
def test_the_bars_sum_to_the_logit_of_the_predictions(
    model: str, tolerance: float, finished_runs: Path, cache: Path
) -> None:
    shutil.copytree(finished_runs, cache)
    (run,) = (run for run in folder.list_runs() if run.config.model.name == model)
    corpus, predictions, loaded = sources.load(run.config.data), read_predictions(run), scorer.load(run)
    margins, limits = model == "svm", thresholds.of_values(read_results(run)["threshold"])
    for place in range(0, 6, 3):
        for label in (0, 5, 11):
            stored = float(predictions.scores[place, label])
            limit = float(limits if np.ndim(limits) == 0 else np.asarray(limits)[label])
            found = why.explain(loaded, corpus.text(int(predictions.rows[place])), label, limit, margins=margins)
            table = why.waterfall_table(found)
            steps = table[table["kind"] != "sum"]
            expected = stored if margins else math.log(stored / (1 - stored))
            assert steps["adds"].sum() == pytest.approx(found.total, abs=1e-6)
            assert found.total == pytest.approx(expected, abs=tolerance)
            assert table["adds"].iloc[-1] == found.total
            assert (found.total > found.threshold) == (stored > limit) or abs(found.total - found.threshold) < tolerance
            assert why.describe(found, train=1).endswith("; 1 training document.")


def test_each_bar_begins_where_the_one_before_ended() -> None:
    words = pd.DataFrame({"word": [f"w{n}" for n in range(20)], "adds": [(-1) ** n * (20 - n) for n in range(20)]})
    table = why.waterfall_table(Why(-12.5, why.BIAS, words, -12.5 + words["adds"].sum(), -2.0), bars=5)
    assert table["name"].tolist() == ["(bias)", "w0", "w1", "w2", "w3", "w4", "(15 other words)", "(sum)"]
    at = 0.0
    for row in table.iloc[:-1].itertuples():
        assert [row.low, row.high] == pytest.approx(sorted([at, at + row.adds]))
        at += row.adds
    assert table.iloc[-1][["low", "high"]].tolist() == [pytest.approx(min(0, at)), pytest.approx(max(0, at))]
    assert table["name"].is_unique
    only = why.waterfall_table(Why(1.0, why.BIAS, NOTHING, 1.0, math.nan))
    assert only["name"].tolist() == ["(bias)", "(sum)"]


@pytest.mark.parametrize(
    ("total", "threshold", "train", "said"),
    [
        (-9.4, -2.0, 5, "7.4 short; 5 training documents."),
        (3.0, 1.0, 1, "2.0 above the threshold; 1 training document."),
        (
            3.0,
            math.nan,
            1000,
            "The sum is 3.0; labels are chosen by rank, without a threshold; 1,000 training documents.",
        ),
        (3.0, math.inf, 0, "The sum is 3.0; the threshold lets none pass; 0 training documents."),
        (3.0, -math.inf, 0, "The sum is 3.0; the threshold lets all pass; 0 training documents."),
    ],
)
def test_the_sentence_says_how_far_it_was(total: float, threshold: float, train: int, said: str) -> None:
    found = Why(0.0, why.BIAS, NOTHING, total, threshold)
    assert why.describe(found, train=train) == said
    drawn = waterfall(found).to_dict()
    assert ["x0" in line for line in drawn["layout"].get("shapes", ())] == [True] * math.isfinite(threshold)
    assert drawn["data"][0]["measure"] == ["absolute", "total"]


def test_a_word_that_is_a_tag_is_drawn_as_it_is_written() -> None:
    words = pd.DataFrame({"word": ["<b>bold</b>", "<a href='https://x.example'>go</a>"], "adds": [1.0, -0.5]})
    drawn = waterfall(Why(-1.0, why.BIAS, words, -0.5, 0.0)).to_dict()
    assert drawn["data"][0]["x"] == [-1.0, 1.0, -0.5, -0.5]
    assert "<" not in "".join(drawn["layout"]["yaxis"]["ticktext"]) + "".join(drawn["data"][0]["customdata"])


def test_a_threshold_of_scores_is_one_of_sums() -> None:
    assert why.to_sum(0.5, margins=False) == 0
    assert why.to_sum(0.5, margins=True) == 0.5
    assert [why.to_sum(limit, margins=False) for limit in (0.0, 1.0, -1.0, 2.0)] == [-math.inf, math.inf] * 2
    assert math.isnan(why.to_sum(None, margins=True))


@settings(law(30))
@given(st.text(max_size=60), st.lists(st.tuples(st.text(max_size=8), st.floats(-5, 5)), max_size=5))
def test_a_highlighted_text_says_what_it_said_and_is_no_html(text: str, adds: list[tuple[str, float]]) -> None:
    words = pd.DataFrame(adds, columns=["word", "adds"])
    shown = why.highlight(text, words)
    inner = re.sub(r'</?mark(?: style="[^"<>]*" title="[^"<>]*")?>', "", shown)
    assert html.unescape(inner) == text
    assert "<" not in inner


def test_words_are_coloured_by_what_they_add_wherever_they_stand() -> None:
    words = pd.DataFrame({"word": ["gold", "bank", "the"], "adds": [4.0, -2.0, 0.001]})
    shown = why.highlight("GOLD, the bank's <b>gold</b>", words)
    assert shown.count("27, 158, 119") == 2
    assert shown.count("217, 95, 2") == 1
    assert "&lt;b&gt;" in shown
    assert why.highlight("a <b>", NOTHING) == "a &lt;b&gt;"


def test_the_nearest_documents_share_words() -> None:
    matrix = sp.csr_array(np.array([[1.0, 0, 0], [0, 1, 0], [0.6, 0.8, 0]]))
    places, cosines = why.find_nearest(matrix, sp.csr_array(np.array([[0.8, 0.6, 0]])), limit=2)
    assert places.tolist() == [2, 0]
    assert cosines.tolist() == pytest.approx([0.96, 0.8])
    assert why.find_nearest(matrix, sp.csr_array((1, 3)), limit=5)[0].tolist() == []
    assert why.find_nearest(matrix[:0], matrix[[0]], limit=5)[0].tolist() == []


def test_the_label_that_went_wrong_comes_first() -> None:
    table = pd.DataFrame({"verdict": ["hit", "rejected", "spurious", "missed"], "label": list("abcd")})
    assert why.order_labels(table) == ["d", "c", "a", "b"]
    assert why.order_labels(table, "x") == ["x", "d", "c", "a", "b"]
    assert why.order_labels(table, "a")[:2] == ["a", "d"]


def test_one_document_in_several_runs() -> None:
    table = why.document_in_runs([("a", 0.2, 0.5, False), ("b", 0.7, 0.5, True), ("c", 0.9, None, False)])
    assert table["run"].tolist() == ["b", "c", "a"]
    assert why.document_in_runs([]).empty
