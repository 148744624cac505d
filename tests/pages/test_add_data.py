"""The page that adds data, in the states that a file can be in, without a browser."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core import data
from core.config.schema import FileConfig
from core.data import sources
from core.data.added import keep_upload, uploads
from core.data.readers import Reading
from core.system.places import cache_dir
from pages.sections.add_data.columns import assign_role
from pages.sections.add_data.file import FORMATS, name_upload
from pages.shared.text import plain, without_options
from tests.helpers.drawn import open_page, words

ROWS = ["text,labels,split"] + [
    f"Gold rose on day {n},gold;metal,{'test' if n % 4 == 0 else 'train'}" for n in range(20)
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of TAILSCOPE_DATA with one file in it."""
    folder = tmp_path / "data"
    folder.mkdir()
    folder.joinpath("papers.csv").write_text("\n".join([*ROWS, ROWS[1], ",gold,train"]) + "\n")
    monkeypatch.setenv("TAILSCOPE_DATA", str(folder))
    return folder


def opened(folder: Path, content: str = "", name: str = "papers.csv") -> AppTest:
    """The page on a file of the folder, with this content where there is one."""
    if content:
        folder.joinpath(name).write_text(content, encoding="utf-8")
    return open_page("add_data", file=str(folder / name))


def button(page: AppTest, label: str):
    return next(one for one in page.button if one.label == label)


def choice(page: AppTest, label: str):
    return next(one for one in page.selectbox if one.label == plain(label))


def control(page: AppTest, part: str):
    return next(one for one in page.get("button_group") if part in one.proto.id)


def metrics(page: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in page.metric}


def badges(page: AppTest) -> list[str]:
    """The labels of each shown document, as they are drawn."""
    return [one.value for one in page.markdown if one.value.startswith((":blue-badge", "(no label)"))]


def check(page: AppTest) -> AppTest:
    page = button(page, "Check the file").click().run()
    assert not page.exception, page.exception
    return page


def intake() -> list[Path]:
    """Copies of files that have been read whole."""
    return list(cache_dir().glob("data/intake/*"))


def test_a_file_is_checked_and_kept(folder: Path) -> None:
    page = opened(folder)
    assert [choice(page, label).value for label in ("text", "labels", "split")] == ["text", "labels", "split"]
    assert choice(page, "Separator").value == ";"
    assert badges(page) == [":blue-badge[gold] :blue-badge[metal]"] * 5
    assert data.added.find_registered() == {}
    page = check(page)
    assert choice(page, "Division").value == "own"
    expected = {"Documents": "22", "Labels": "2", "Train": "14", "Validation": "2", "Test": "6"}
    assert expected.items() <= metrics(page).items()
    button(page, "Keep as a data set").click().run()
    assert not page.exception
    assert "22 documents with 2 labels are kept as 'papers'." in [one.value for one in page.success]
    corpus = sources.load(sources.default_config("papers"))
    assert (corpus.split, len(corpus.ids), corpus.labels) == ("own", 22, ("gold", "metal"))
    assert not [path for path in intake() if path.joinpath("scan").exists()]
    button(page, "Remove it").click().run()
    assert data.added.find_registered() == {}


def test_a_choice_changes_what_would_be_kept(folder: Path) -> None:
    page = check(opened(folder))
    control(page, "empty_texts").set_value("drop").run()
    assert metrics(page)["Documents"] == "21"
    choice(page, "Encoding").set_value("latin-1").run()
    page = check(page)
    assert metrics(page)["Documents"] == "21", "the choice is kept"


def test_what_is_advised_is_done_at_once_and_undone(folder: Path) -> None:
    page = check(opened(folder))
    before = {metric.label: (metric.value, metric.delta) for metric in page.metric if metric.delta}
    assert before == {
        "Documents": ("22", "22 before"),
        "Labels": ("2", "2 before"),
        "Assignments": ("43", "43 before"),
    }
    button(page, "Apply what is advised").click().run()
    after = {metric.label: (metric.value, metric.delta) for metric in page.metric if metric.delta}
    assert after["Documents"] == ("20", "22 before"), "a copy and a document without text"
    assert after["Assignments"] == ("40", "43 before")
    assert button(page, "Apply what is advised").disabled
    button(page, "Keep everything").click().run()
    assert metrics(page)["Documents"] == "22"


def test_defects_follow_earlier_choices(folder: Path) -> None:
    """A document that is left out for one defect is no longer one of a later one."""
    rows = [f"Text number {n},gold" for n in range(20)]
    page = check(opened(folder, "\n".join(["text,labels", *rows, ","]) + "\n"))
    assert "**Documents without labels:** 1" in words(page)
    control(page, "empty_texts").set_value("drop").run()
    assert "**Documents without labels:** 1" not in words(page)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty"),
        (b"\x89PNG\0\0\0", "no text file"),
        (b"text,text\na,b\n", "two columns are named"),
        (b'text,labels\n"never closed,x\n', "never closed"),
        (b"[1, 2", "papers.csv"),
    ],
)
def test_a_file_that_cannot_be_read_is_said(content: bytes, sentence: str, folder: Path) -> None:
    folder.joinpath("papers.csv").write_bytes(content)
    page = open_page("add_data", file=str(folder / "papers.csv"))
    assert not page.exception
    assert any(sentence in str(one.value) for kind in ("error", "caption") for one in page.get(kind))
    assert not intake()


@pytest.mark.parametrize(
    ("name", "content", "control"),
    [
        ("papers.csv", "\n".join([*ROWS, "a,b,train,d"]), "Rows that do not fit"),
        ("papers.jsonl", '{"text": "gold rose", "labels": ["gold"]}\n' * 20 + '{"text": ', "Lines that cannot be read"),
    ],
)
def test_rows_that_do_not_fit_can_be_left_out(name: str, content: str, control: str, folder: Path) -> None:
    page = opened(folder, content, name)
    assert f"{name}, line 21" in words(page) or f"{name}, line 22" in words(page)
    assert "--" not in words(page)
    choice(page, control).set_value("skip").run()
    assert not page.error
    assert metrics(page)["Documents"] == "20"


# Questions.

NUMBERS = "\n".join(
    ["text,labels", *(f'Text number {n},"{vector}"' for n, vector in enumerate(["[1, 0, 1]", "[0, 1, 0]"] * 10))]
)


def test_a_vector_asks_for_names_and_shows_labels_as_they_are_read(folder: Path) -> None:
    page = opened(folder, NUMBERS)
    assert "each cell holds 3 values, one for each label, and the file does not name the labels." in words(page)
    assert "--" not in words(page), "a page names no option of the command line"
    assert not badges(page)
    page.text_area[0].set_value("gold\ncorn\noil").run()
    assert badges(page)[:2] == [":blue-badge[gold] :blue-badge[oil]", ":blue-badge[corn]"]
    control(page, "way").set_value("numbers").run()
    assert badges(page)[:2] == [":blue-badge[0] :blue-badge[2]", ":blue-badge[1]"]


@pytest.mark.parametrize(
    ("names", "sentence"),
    [("gold\ncorn", "3 values, but 2 labels are named"), ("gold, corn, gold", "'gold' stands there twice")],
)
def test_names_that_do_not_fit_are_said(names: str, sentence: str, folder: Path) -> None:
    page = opened(folder, NUMBERS)
    page.text_area[0].set_value(names).run()
    assert sentence in words(page)
    assert "--" not in words(page)
    page.text_area[0].set_value("gold, corn, oil").run()
    assert badges(page)[0] == ":blue-badge[gold] :blue-badge[oil]", "the names can be mended"


def test_scores_ask_from_where_on_a_label_is_set(folder: Path) -> None:
    rows = [f"Text number {n},0.{n % 9}5,0.{(n * 7) % 9}" for n in range(20)]
    page = opened(folder, "\n".join(["text,gold,corn", *rows]))
    assert "2 columns of labels hold scores from 0 to 0.85." in words(page)
    assert metrics(page)["Documents"] == "20", "the likelier reading is shown at once"
    number = next(one for one in page.number_input if "set from" in one.label)
    assert number.value == 0.5
    before = metrics(page)["Labels per document"]
    number.set_value(0.1).run()
    assert metrics(page)["Labels per document"] > before


def test_a_lone_flag_is_never_silently_a_label(folder: Path) -> None:
    rows = [f"Text number {n},{n % 2}" for n in range(20)]
    page = opened(folder, "\n".join(["text,is_spam", *rows]))
    assert "the column 'is_spam' holds 0 and 1 alone." in words(page).replace("\\", "")
    assert not page.metric
    control(page, "flag").set_value("label").run()
    assert ":blue-badge[is\\_spam]" in badges(page) or ":blue-badge[is_spam]" in badges(page)
    control(page, "flag").set_value("two").run()
    assert not page.metric
    for field, name in zip(
        [one for one in page.text_input if one.label.startswith("Name of")], ("ham", "spam"), strict=True
    ):
        field.set_value(name)
    page.run()
    assert badges(page)[:2] == [":blue-badge[ham]", ":blue-badge[spam]"]


def test_parts_of_unknown_names_are_mapped_wherever_they_stand(folder: Path) -> None:
    """One that the first rows show is asked about before, one further down when the file is checked."""
    page = opened(folder, "\n".join([*ROWS, *["a text,gold,holdout"] * 3, "b text,gold,", "c text,gold,"]))
    assert "'holdout' (3) is no part that is known" in words(page).replace("\\", "")
    assert not page.metric
    choice(page, "'holdout' is").set_value("test").run()
    choice(page, "Documents without a part (2 in the first rows)").set_value("validation").run()
    page = check(page)
    parts = {name: metrics(page)[name] for name in ("Train", "Validation", "Test")}
    assert parts == {"Train": "15", "Validation": "2", "Test": "8"}


def test_a_part_far_down_is_asked_about_when_the_file_is_checked(folder: Path) -> None:
    page = opened(folder, "\n".join([ROWS[0], *ROWS[1:] * 260, "a,b,holdout"]) + "\n")
    page = button(page, "Check the file").click().run()
    assert "line 5202, column 'split': 'holdout' is no part" in words(page).replace("\\", "")
    assert not intake(), "nothing stays of what was not read"
    choice(page, "'holdout' is").set_value("unused").run()
    page = check(page)
    assert metrics(page)["Train"] == "3,510"


def test_an_encoding_is_proposed_with_the_text_both_ways(folder: Path) -> None:
    rows = [f"Die Börsen in Zürich öffnen früh und für Käufer wäre es schön {n},Märkte" for n in range(30)]
    folder.joinpath("papers.csv").write_bytes("\n".join(["text,labels", *rows]).encode("cp1252"))
    page = opened(folder)
    assert "is no text in utf-8" in words(page)
    assert choice(page, "Encoding").value != "utf-8"
    assert badges(page)[0] == ":blue-badge[Märkte]"


# Roles of columns.


def test_a_role_is_changed_above_the_column_and_answered_at_once(folder: Path) -> None:
    rows = [f"Gold rose on day {n},news;markets,gold;metal" for n in range(20)]
    page = opened(folder, "\n".join(["headline,topics,what", *rows]) + "\n")
    assert choice(page, "topics").value == "labels"
    assert badges(page)[0] == ":blue-badge[news] :blue-badge[markets]"
    choice(page, "what").set_value("labels").run()
    choice(page, "topics").set_value("").run()
    assert not page.exception
    assert badges(page)[0] == ":blue-badge[gold] :blue-badge[metal]"
    choice(page, "what").set_value("").run()
    assert "Choose the column that holds the text and the one that holds the labels." in words(page)
    choice(page, "topics").set_value("labels").run()
    choice(page, "headline").set_value("title").run()
    assert badges(page)[0] == ":blue-badge[news] :blue-badge[markets]"


def test_very_many_columns_of_labels_are_one_list(folder: Path) -> None:
    names = [f"label{n:02}x" for n in range(40)]
    rows = [",".join([f"Text number {n}", *("1" if n % 7 == k % 7 else "0" for k in range(40))]) for n in range(20)]
    page = opened(folder, "\n".join([",".join(["text", *names]), *rows]))
    assert "41 columns, 40 of them labels." in words(page)
    assert metrics(page)["Labels"] == "40"
    page.multiselect[0].set_value(names[:3]).run()
    assert metrics(page)["Labels"] == "3"


def test_labels_are_shown_as_they_are_never_as_markdown(folder: Path) -> None:
    label = "**bold** [x](http://x.y) :red[z] <b> $a$"
    rows = [f'Text number {n},"{label}"' for n in range(20)]
    page = opened(folder, "\n".join(["text,labels", *rows]))
    assert badges(page)[0] == f":blue-badge[{plain(label)}]"


def test_rows_of_one_id_are_one_document_unless_that_is_wrong(folder: Path) -> None:
    rows = [f"{n},Text number {n},{label}" for n in range(20) for label in ("gold", "corn")]
    page = opened(folder, "\n".join(["id,text,label", *rows]))
    assert metrics(page)["Documents"] == "20"
    assert "rows of one 'id' are one document" in words(page)
    next(one for one in page.toggle if one.label.startswith("Rows of one id")).set_value(False).run()
    assert metrics(page)["Documents"] == "40"


# Uploads.


def test_accepted_formats_stand_beside_the_upload(folder: Path) -> None:
    page = open_page("add_data")
    assert FORMATS in words(page)
    for word in ("CSV", "JSON", "Parquet", "Excel", "zip"):
        assert word in FORMATS


def test_an_upload_is_offered_until_it_is_kept_or_removed(folder: Path) -> None:
    path = keep_upload("mine.csv", BytesIO("\n".join(ROWS).encode()))
    page = open_page("add_data", file=name_upload(path))
    assert "mine.csv is uploaded, not kept yet." in words(page)
    assert badges(page)
    button(page, "Remove the upload").click().run()
    assert not page.exception
    assert not list(uploads().glob("*/*"))
    assert "uploaded" not in words(page)
    path = keep_upload("mine.csv", BytesIO("\n".join(ROWS).encode()))
    page = check(open_page("add_data", file=name_upload(path)))
    button(page, "Keep as a data set").click().run()
    assert not page.exception
    assert not list(uploads().glob("*/*")), "what is kept is no upload any more"


def test_a_dropped_file_is_chosen_and_one_that_is_not_read_leaves_nothing(folder: Path) -> None:
    page = open_page("add_data")
    page.file_uploader[0].set_value(("mine.csv", "\n".join(ROWS).encode(), "text/csv")).run()
    assert not page.exception
    assert badges(page)
    assert [path.name for path in uploads().glob("*/*")] == ["mine.csv"]
    page.file_uploader[0].set_value(("table.arff", b"@relation x\n@attribute a {0,1}\n@data\n", "text/plain")).run()
    assert "ARFF" in words(page)
    assert [path.name for path in uploads().glob("*/*")] == ["mine.csv"]
    assert not intake()


def test_a_reader_who_may_only_look_uploads_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAILSCOPE_READONLY", "1")
    page = open_page("add_data", file=str(folder / "papers.csv"))
    assert "read-only" in words(page)
    assert not page.get("file_uploader")
    assert not cache_dir().joinpath("data").exists()


@pytest.mark.slow
def test_a_file_outside_of_the_data_folders_is_not_opened(folder: Path, tmp_path: Path) -> None:
    tmp_path.joinpath("secret.csv").write_text("text,labels\na,b\n")
    for place in (str(tmp_path / "secret.csv"), "../secret.csv", "/etc/passwd"):
        page = open_page("add_data", file=place)
        assert not page.exception
        assert not page.metric
        assert "How it is written" not in [one.value for one in page.header]


def test_a_name_that_is_taken_is_said(folder: Path) -> None:
    page = check(opened(folder))
    name = next(one for one in page.text_input if one.label == "Name")
    name.set_value("reuters").run()
    button(page, "Keep as a data set").click().run()
    assert "a data set 'reuters' already" in page.error[0].value


@pytest.mark.parametrize(
    ("sentence", "shown"),
    [
        ("The labels are those of 'a'; --labels takes 'b'.", "The labels are those of 'a'."),
        ("Not taken for labels: 'b' (--labels takes one).", "Not taken for labels: 'b'."),
        ("They are in no part. --part =train takes them into train.", "They are in no part."),
        ("A label of 1,207 characters; is this right (--sep)?", "A label of 1,207 characters; is this right?"),
        ("Nothing to leave out here; it stays.", "Nothing to leave out here; it stays."),
        ("Is it cut? `--bad-lines skip` leaves such lines out.", "Is it cut?"),
        ("'a--b' and 'c -- d' are labels.", "'a--b' and 'c -- d' are labels."),
    ],
)
def test_sentences_of_the_command_line_lose_their_options(sentence: str, shown: str) -> None:
    assert without_options(sentence) == shown


def test_an_object_of_several_keys_asks_for_that_of_the_label(folder: Path) -> None:
    lines = [
        json.dumps({"text": f"Text number {n}", "labels": [{"code": f"c{n % 3}", "sense": f"s{n % 4}"}]})
        for n in range(20)
    ]
    page = opened(folder, "\n".join(lines), "papers.jsonl")
    assert badges(page)[0] == ":blue-badge[c0]"
    choice(page, "Key of the label").set_value("sense").run()
    assert badges(page)[3] == ":blue-badge[s3]"


def test_two_choices_before_the_page_is_drawn_again_are_both_kept() -> None:
    drawn = Reading(FileConfig(format="csv"), [], {"body": "text", "what": "not used", "topics": "labels"})
    chosen = assign_role("what", "labels", drawn, {})
    assert chosen == {"labels": ("what", "topics"), "sep": None, "other_seps": None}
    chosen |= assign_role("topics", "", drawn, chosen)
    assert chosen == {"labels": ("what",), "sep": None, "other_seps": None}
    chosen |= assign_role("topics", "title", drawn, chosen)
    assert chosen | assign_role("body", "title", drawn, chosen) == {
        **{"labels": ("what",), "sep": None, "other_seps": None},
        **{"text": (), "title": "body"},
    }
    everything = {"labels": ("*",)}
    assert assign_role("body", "id", drawn, everything) == {"text": (), "id": "body"}
