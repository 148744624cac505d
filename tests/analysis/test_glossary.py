"""The glossary: it has the words that pages use, and explains them by words that it has or that need none."""

from __future__ import annotations

import ast
import re
import subprocess
import sys

import pytest
from streamlit.testing.v1 import AppTest

from core.analysis import dataset
from core.analysis.glossary import GLOSSARY, find_terms
from core.config.defaults import THRESHOLD_RULES
from core.figures import GROUP_COLOURS
from core.figures.glossary import PICTURES
from core.losses.presets import CONSTANTS, LOSSES
from core.system.places import ROOT
from pages.sections.explorer.overview import EXPLAINED
from pages.sections.launcher.form import SECTIONS
from pages.sections.launcher.titles import MEANINGS, TITLES, list_losses

PLAIN = {
    *("Documents", "Labels", "Labels per document", "Documents per label", "With one label", "With several labels"),
    *("Labels that occur", "Most frequent", "Rarest", "Rare labels", "Head's share", "Seen once"),
    *("None", "Two", "Three", "Four or more", "Most", "Label j", "Label i", "Both", "Docs with j", "Docs with i"),
}
"""Headings of the explorer that say what they mean; whatever else stands in one is a term."""
GREEK = r"\\(alpha|beta|gamma|kappa|lambda|mu|tau|epsilon)"
PLAIN_WORDS = {"scale", "negatives", "there", "not there", "decay", "offset", "smoothing", "first term", "second term"}
"""Short names of constants that are no terms."""
TERMS = {
    *("lift", "MeanIR", "IRLbl", "SCUMBLE", "Gini", "logit", "threshold", "mu", "lambda", "kappa", "swapped"),
    *("absorbed", "head", "medium", "tail", "micro-F1", "macro-F1", "P@k", "calibration", "co-occurrence", "margin"),
    *("quiet", "SCut", "PCut", "RCut"),
}
JARGON = (
    "sigmoid|softmax|log-odds|odds|prior|posterior|likelihood|hyperparameter|regularisation|regularization|epoch|"
    "batch|tensor|kernel|entropy|gradient|logit|threshold|precision|recall|calibrat\\w+|co-occur\\w+|over-fit\\w*|"
    "hyperplane|confusion|imbalance|quantile|propensity|ablation|covariance|heuristic|[A-Z]{2,}\\w*|[A-Z][a-z]+[A-Z]\\w*"
)
"""Words of the field that must not stand in a definition without a definition of their own."""


def is_known(word: str) -> bool:
    """Whether a word is an entry or a part of one, ignoring case."""
    return any(re.search(rf"(?<!\w){re.escape(word.lower())}(?!\w)", name.lower()) for name in GLOSSARY)


@pytest.mark.parametrize("heading", [h for table in dataset.MEASURES.values() for h, _, _ in table.values()])
def test_every_measure_of_the_explorer_is_plain_or_a_term(heading: str) -> None:
    assert heading in PLAIN or is_known(heading.removesuffix("s"))


@pytest.mark.parametrize("heading", [heading for heading, _, _ in dataset.PAIRS.values()])
def test_every_column_of_pairs_is_plain_or_a_term(heading: str) -> None:
    assert heading in PLAIN or is_known(heading)


@pytest.mark.parametrize("name", CONSTANTS)
def test_every_greek_letter_of_a_loss_is_a_term_and_says_the_word_beside_it(name: str) -> None:
    constant = CONSTANTS[name]
    if letter := re.search(GREEK, constant.symbol):
        assert constant.word in GLOSSARY[letter[1]].meaning or constant.word in PLAIN_WORDS
    else:
        assert "\\" not in constant.symbol
        assert constant.word in PLAIN_WORDS or is_known(constant.word)


@pytest.mark.parametrize("title", [rule.title for rule in THRESHOLD_RULES.values() if rule.title])
def test_every_threshold_rule_is_a_term(title: str) -> None:
    assert find_terms(title)


def test_groups_and_the_terms_that_stand_on_pages_are_there() -> None:
    assert set(GROUP_COLOURS) - {"all"} <= set(GLOSSARY)
    assert set(GLOSSARY) >= TERMS


def test_every_term_that_a_page_explains_is_there() -> None:
    calls = {
        part.value
        for path in (ROOT / "pages").rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "explain"
        for part in ast.walk(call)
        if isinstance(part, ast.Constant)
    }
    calls |= {term for terms in EXPLAINED.values() for term in terms}
    assert {"p(i given j)", "MeanIR", "swapped", "threshold", "micro-F1"} <= calls <= set(GLOSSARY)
    assert set(EXPLAINED) <= set(dataset.MEASURES)


@pytest.mark.parametrize("name", GLOSSARY)
def test_a_definition_is_one_or_two_sentences_of_defined_words(name: str) -> None:
    meaning = GLOSSARY[name].meaning
    assert meaning[0].isupper()
    assert meaning.endswith(".")
    assert 1 <= len(re.findall(r"[.?!](?=\s|$)", meaning)) <= 2
    assert len(meaning) <= 240
    unknown = [word for word in re.findall(rf"(?<![\w-])(?:{JARGON})(?![\w-])", meaning) if not is_known(word)]
    assert unknown in ([], ["imbalance"])  # said of IRLbl itself


@pytest.mark.parametrize("name", GLOSSARY)
def test_formulas_are_closed(name: str) -> None:
    formula = GLOSSARY[name].formula
    assert formula.count("{") == formula.count("}")
    assert formula.count(r"\left") - formula.count(r"\leftarrow") == formula.count(r"\right")


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_are_small_valid_charts_of_terms(name: str) -> None:
    assert name in GLOSSARY
    spec = PICTURES[name]().to_dict()
    assert sum(map(len, spec["datasets"].values())) <= 60


def test_terms_are_found_whole_the_longest_first() -> None:
    assert find_terms("per label, no guard (SCut)") == ["per label", "SCut"]
    assert find_terms("SCutFBR and SCut") == ["SCutFBR", "SCut"]
    assert find_terms("uplift, thresholds and non-head") == []
    assert find_terms("") == []


def test_every_setting_of_the_form_has_a_title_that_is_no_field_name_and_says_what_it_does() -> None:
    fields = {
        f"{section}.{name}": field
        for section, kind in SECTIONS.items()
        for name, field in kind.model_fields.items()
        if name != "name"
    }
    assert set(TITLES) == set(fields)
    for key, field in fields.items():
        assert "_" not in re.sub(r"\$.*?\$", "", TITLES[key])
        assert field.description or MEANINGS[key]
    names = [title for title in TITLES.values() if "$" not in title]
    assert len(set(names)) == len(names)
    assert all(f"- {name}: {LOSSES[name].title}" in list_losses() for name in LOSSES)


def draw_terms() -> None:
    from pages.shared.glossary import explain

    explain("lift", "p(i given j)")


def test_a_closed_term_draws_nothing_and_an_open_one_its_definition_formula_and_picture() -> None:
    page = AppTest.from_function(draw_terms).run()
    assert not page.exception
    assert not page.markdown
    page.session_state["explain-lift-p(i given j)-lift"] = True
    page.run()
    assert not page.exception
    assert GLOSSARY["lift"].meaning.split(":")[0] in page.markdown[0].value
    assert len(page.get("vega_lite_chart")) + len(page.get("arrow_vega_lite_chart")) == 1


def test_the_glossary_loads_neither_torch_nor_altair() -> None:
    code = "import sys, core.analysis.glossary; sys.exit(bool({'torch', 'altair', 'pandas'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
