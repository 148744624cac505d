"""Laws of the readers: what was written is read; what was cut is said."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
import zipfile
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.config.schema import SyntheticConfig
from core.data.readers import (
    Record,
    confused_pairs,
    label_names,
    make_synthetic,
    open_reuters,
    read_reuters_nltk,
    read_reuters_sgml,
)
from core.data.readers.reuters import clean
from core.system.errors import UserError
from core.system.places import ROOT
from tests.helpers.laws import law
from tests.helpers.writers import (
    EXAMPLES,
    nltk_files,
    sgml,
    write_archive,
    write_nltk_folder,
    write_nltk_zip,
    write_sgml_folder,
)

LINES = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=40).map(str.strip)
RECORDS = st.builds(
    Record,
    id=st.integers(1, 10**6).map(str),
    title=LINES.map(lambda title: " ".join(title.split())),
    body=st.lists(LINES, max_size=3).map("\n".join).map(str.strip),
    labels=st.lists(st.sampled_from(["earn", "acq", "money-fx", "l-cattle"]), unique=True).map(tuple),
    part=st.sampled_from(["train", "test", "unused"]),
)


@given(records=st.lists(RECORDS, min_size=1, max_size=6), per_file=st.integers(1, 4))
@law(50)
def test_what_was_written_as_sgml_is_read(
    records: list[Record], per_file: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("sgml")
    assert list(read_reuters_sgml(write_archive(folder / "r.tar.gz", records, per_file=per_file))) == records
    assert list(read_reuters_sgml(write_sgml_folder(folder / "r", records, per_file=per_file))) == records


@given(records=st.lists(RECORDS, min_size=1, max_size=6, unique_by=lambda record: record.id))
@law(50)
def test_what_was_written_in_nltk_layout_is_read(
    records: list[Record], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("nltk")
    used = [record for record in records if record.part != "unused"]
    assert list(read_reuters_nltk(write_nltk_folder(folder / "reuters", records))) == used
    for prefix in ("", "reuters/", "corpora/reuters/"):
        assert list(read_reuters_nltk(write_nltk_zip(folder / "reuters.zip", records, prefix=prefix))) == used


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("AT&T &lt;T&gt; Q&amp;A", "AT&T <T> Q&A"),
        ("&amp;lt; is decoded once", "&lt; is decoded once"),
        ("&nosuch; R&para &#99999999; stay", "&nosuch; R&para &#99999999; stay"),
        ("&#2;\n a\x01b\x7fc&#127;d&#31;e \x85&#3;", "a b c d e"),
        ("&#65;&#x42;&eacute;\xfc", "ABéü"),
        ("tab\tand\nline stay&#55555;", "tab\tand\nline stay"),
    ],
)
def test_entities_and_control_characters(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned


def document(attributes: str, content: str) -> bytes:
    return f'<REUTERS {attributes} OLDID="5" NEWID="1">\n{content}\n</REUTERS>\n'.encode("latin-1")


def read_file(folder: Path, content: bytes) -> list[Record]:
    folder.joinpath("reut2-000.sgm").write_bytes(content)
    return list(read_reuters_sgml(folder))


@pytest.mark.parametrize(
    ("topics", "split", "part"),
    [
        ("YES", "TRAIN", "train"),
        ("YES", "TEST", "test"),
        ("YES", "NOT-USED", "unused"),
        ("NO", "TRAIN", "unused"),
        ("BYPASS", "TEST", "unused"),
    ],
)
def test_parts_follow_the_modapte_split(tmp_path: Path, topics: str, split: str, part: str) -> None:
    (record,) = read_file(tmp_path, document(f'TOPICS="{topics}" LEWISSPLIT="{split}"', "<TEXT>a</TEXT>"))
    assert record.part == part


def test_briefs_unprocessed_texts_and_repeated_topics(tmp_path: Path) -> None:
    used = 'TOPICS="YES" LEWISSPLIT="TRAIN"'
    brief = document(
        used, '<TOPICS><D>a</D><D>b</D><D>a</D></TOPICS>\n<TEXT TYPE="BRIEF">&#2;\n<TITLE>ONE\nTWO</TITLE>'
    )
    brief = brief.replace(b"</TITLE>", b"</TITLE>Blah</TEXT>")
    raw = document(used, '<TOPICS></TOPICS><TEXT TYPE="UNPROC">&#2;\nRAW \xfc <AUTHOR>by me</AUTHOR> &lt;X>&#3;</TEXT>')
    first, second = read_file(tmp_path, brief + raw)
    assert (first.title, first.body, first.labels) == ("ONE TWO", "", ("a", "b"))
    assert (second.title, second.body, second.labels) == ("", "RAW ü by me <X>", ())


def test_a_file_cut_anywhere_is_refused_with_its_line(tmp_path: Path) -> None:
    content = sgml(EXAMPLES[:3])
    ends = [found.end() for found in re.finditer(rb"</REUTERS>\n?", content)]
    for cut in range(len(content)):
        kept = sum(cut >= end - 1 for end in ends)  # without the last line break a document is still whole
        if kept and cut in (ends[kept - 1], ends[kept - 1] - 1):
            assert read_file(tmp_path, content[:cut]) == EXAMPLES[:kept]
            continue
        with pytest.raises(UserError, match=r"reut2-000\.sgm, line \d+: .* Fetch the collection again\.") as caught:
            read_file(tmp_path, content[:cut])
        line = content[: ends[kept - 1] if kept else 0].count(b"\n") + 1
        assert f"line {line}:" in str(caught.value)
    with pytest.raises(UserError, match="line 1: expected <REUTERS>"):
        read_file(tmp_path, content[200:])


@pytest.mark.parametrize("lost", ["</TITLE>", "</BODY>", "</TEXT>", "</TOPICS>", ' NEWID="12"', ' LEWISSPLIT="TRAIN"'])
def test_a_document_without_one_of_its_ends_is_refused(tmp_path: Path, lost: str) -> None:
    content = sgml(EXAMPLES[:2]) + sgml([EXAMPLES[2]]).partition(b"\n")[2].replace(lost.encode(), b"")
    line = sgml(EXAMPLES[:2]).count(b"\n") + 1
    with pytest.raises(UserError, match=f"line {line}: the document that starts here has no"):
        read_file(tmp_path, content)


def test_an_archive_cut_anywhere_is_refused(tmp_path: Path) -> None:
    whole = write_archive(tmp_path / "whole.tar.gz", EXAMPLES, per_file=2).read_bytes()
    cut = tmp_path / "cut.tar.gz"
    for length in range(len(whole)):
        cut.write_bytes(whole[:length])
        with pytest.raises(UserError, match=r"cut\.tar\.gz"):
            list(read_reuters_sgml(cut))


def test_a_changed_byte_in_an_archive_is_never_read_as_something_else(tmp_path: Path) -> None:
    whole = write_archive(tmp_path / "whole.tar.gz", EXAMPLES, per_file=2).read_bytes()
    changed, refused = tmp_path / "changed.tar.gz", 0
    for place in range(len(whole)):
        changed.write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
        try:
            assert list(read_reuters_sgml(changed)) == EXAMPLES
        except UserError:
            refused += 1
    assert refused > 0.9 * len(whole)  # the rest is the name and the time in gzip's header


def test_what_is_no_collection_is_refused(tmp_path: Path) -> None:
    tmp_path.joinpath("text.tar.gz").write_text("hello")
    for path, words in (
        (tmp_path, "holds no reut2-"),
        (tmp_path / "text.tar.gz", "damaged"),
        (tmp_path / "missing.tar.gz", "missing.tar.gz cannot be read: No such file"),
    ):
        with pytest.raises(UserError, match=words):
            list(open_reuters(path))
    for path, words in ((tmp_path, "cats.txt cannot be read"), (tmp_path / "text.tar.gz", "damaged")):
        with pytest.raises(UserError, match=words):
            list(read_reuters_nltk(path))


@pytest.mark.parametrize("member", ["../outside", "reuters/../../outside", "/etc/outside"])
def test_a_zip_that_leads_outside_is_refused(tmp_path: Path, member: str) -> None:
    path = write_nltk_zip(tmp_path / "reuters.zip", EXAMPLES)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(member, b"x")
    with pytest.raises(UserError, match=r"reuters\.zip is refused: its member .* leads outside"):
        list(read_reuters_nltk(path))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("training/99 gold", "line 2: training/99 is missing"),
        ("../training/7 gold", "line 2: '../training/7' is neither"),
        ("training/../../7 gold", "is neither training/ID nor test/ID"),
        ("validation/7 gold", "is neither training/ID nor test/ID"),
    ],
)
def test_cats_txt_that_is_wrong_is_refused_with_its_line(tmp_path: Path, line: str, words: str) -> None:
    folder = write_nltk_folder(tmp_path / "reuters", EXAMPLES)
    folder.joinpath("cats.txt").write_text(f"training/7 gold\n{line}\n")
    with zipfile.ZipFile(tmp_path / "reuters.zip", "w") as archive:
        for name, content in (nltk_files(EXAMPLES) | {"cats.txt": folder.joinpath("cats.txt").read_bytes()}).items():
            archive.writestr(name, content)
    for path in (folder, tmp_path / "reuters.zip"):
        with pytest.raises(UserError, match=re.escape(words)):
            list(read_reuters_nltk(path))


def test_a_zip_cut_anywhere_is_refused(tmp_path: Path) -> None:
    whole = write_nltk_zip(tmp_path / "reuters.zip", EXAMPLES).read_bytes()
    cut = tmp_path / "cut.zip"
    for length in range(0, len(whole), 7):
        cut.write_bytes(whole[:length])
        with pytest.raises(UserError, match=r"cut\.zip is cut short or damaged"):
            list(read_reuters_nltk(cut))


def test_a_changed_byte_in_a_zip_is_never_read_as_something_else(tmp_path: Path) -> None:
    path = write_nltk_zip(tmp_path / "reuters.zip", EXAMPLES)
    whole, expected = path.read_bytes(), list(read_reuters_nltk(path))
    changed, refused = tmp_path / "changed.zip", 0
    for place in range(0, len(whole), 3):
        changed.write_bytes(whole[:place] + bytes([whole[place] ^ 0x01]) + whole[place + 1 :])
        try:
            assert list(read_reuters_nltk(changed)) == expected
        except UserError:
            refused += 1
    assert refused > 0.2 * len(whole) / 3  # much of a zip is times, rights and names that are written twice


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can read as somebody else")
@pytest.mark.parametrize("locked", ["reut2-000.sgm", ""])
def test_a_folder_without_read_permission_is_one_sentence(opened: Path, locked: str) -> None:
    folder = write_sgml_folder(opened / "reuters21578", EXAMPLES)
    folder.chmod(0o755)
    folder.joinpath(locked).chmod(0)
    script = (
        "import os, sys; from pathlib import Path; from core.system.errors import UserError\n"
        "from core.data.readers import read_reuters_sgml\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "try: list(read_reuters_sgml(Path(sys.argv[1])))\n"
        "except UserError as error: print(error)"
    )
    command = [sys.executable, "-c", script, str(folder)]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    folder.chmod(0o755)
    assert said == f"{folder / locked} cannot be read: Permission denied. Check the path and its rights.\n"


CONFIGS = st.builds(
    SyntheticConfig,
    documents=st.integers(20, 120),
    labels=st.integers(2, 40),
    cardinality=st.floats(1, 4),
    zipf=st.floats(0, 2),
    words=st.integers(1, 30),
    seed=st.integers(0, 2**40),
)


@given(config=CONFIGS)
@law(50)
def test_synthetic_documents_are_the_same_for_the_same_settings(config: SyntheticConfig) -> None:
    records = list(make_synthetic(config))
    assert records == list(make_synthetic(config))
    assert records != list(make_synthetic(config.model_copy(update={"seed": config.seed + 1})))
    assert len(records) == config.documents
    assert len({record.id for record in records}) == config.documents
    names = label_names(config)
    assert len(set(names)) == config.labels
    for record in records:
        assert 1 <= len(record.labels) == len(set(record.labels))
        assert set(record.labels) <= set(names)
        assert len(record.title.split()) == 4
        assert record.body == " ".join(record.body.split()) != ""
    assert {pair for pairs in confused_pairs(config) for pair in pairs} <= set(names)


@given(config=CONFIGS)
@law(50)
def test_every_synthetic_label_is_in_both_parts_where_documents_allow(config: SyntheticConfig) -> None:
    documents: dict[str, Counter[str]] = {"train": Counter(), "test": Counter()}
    sizes: Counter[str] = Counter()
    for record in make_synthetic(config):
        documents[record.part].update(record.labels)
        sizes[record.part] += 1
    assert sizes["test"] == config.documents // 5
    for part in ("train", "test"):
        assert len(documents[part]) >= min(config.labels, sizes[part])


def test_synthetic_frequencies_have_a_long_tail_and_the_asked_cardinality() -> None:
    config = SyntheticConfig(documents=4000, labels=100, cardinality=3.0, zipf=1.1)
    counts = Counter(label for record in make_synthetic(config) for label in record.labels)
    assert sum(counts.values()) / config.documents == pytest.approx(3.0, rel=0.03)
    by_rank = np.array([counts[name] for name in label_names(config)])
    slope = np.polyfit(np.log(np.arange(1, 31)), np.log(by_rank[:30]), 1)[0]
    assert -1.2 < slope < -0.7  # several distinct labels a document flatten the head
    assert by_rank[:10].min() > 5 * by_rank[-50:].max()


def test_rare_synthetic_labels_come_with_their_parent() -> None:
    config = SyntheticConfig(documents=4000, labels=100)
    names = label_names(config)
    column = {name: number for number, name in enumerate(names)}
    together, alone = 0, 0
    for record in make_synthetic(config):
        for label in map(column.__getitem__, record.labels):
            if label >= 10:
                together += names[label % 10] in record.labels
                alone += names[(label + 5) % 10] in record.labels
    assert together > 3 * alone


def test_confused_pairs_share_most_of_their_words() -> None:
    config = SyntheticConfig(documents=4000, labels=60, cardinality=1.0, zipf=0.5)
    words: dict[str, Counter[str]] = defaultdict(Counter)
    for record in make_synthetic(config):
        words[record.labels[0]].update(word for word in record.body.split() if len(word) > 4)

    def shared(one: str, other: str) -> float:
        common = sum((words[one] & words[other]).values())
        return common / min(words[one].total(), words[other].total())

    pairs = confused_pairs(config)
    others = [(first, other_second) for (first, _), (_, other_second) in itertools.pairwise(pairs)]
    assert len(pairs) == 6
    assert min(shared(*pair) for pair in pairs) > 0.6
    assert max(shared(*pair) for pair in others) < 0.3


@pytest.mark.slow
def test_synthetic_labels_can_be_learned_and_rare_ones_are_hard() -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.metrics import f1_score
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.preprocessing import MultiLabelBinarizer
    from sklearn.svm import LinearSVC

    config = SyntheticConfig(documents=4000, labels=100)
    records = list(make_synthetic(config))
    train, test = ([record for record in records if record.part == part] for part in ("train", "test"))
    words = TfidfVectorizer(min_df=2, sublinear_tf=True)
    binary = MultiLabelBinarizer(classes=label_names(config))
    targets = binary.fit_transform([record.labels for record in train])
    model = OneVsRestClassifier(LinearSVC(), n_jobs=1).fit(words.fit_transform([r.body for r in train]), targets)
    predicted = model.decision_function(words.transform([r.body for r in test])) > -0.5
    truth = binary.transform([record.labels for record in test])
    assert 0.85 < f1_score(truth, predicted, average="micro") < 0.95
    by_label, counts = f1_score(truth, predicted, average=None, zero_division=0), targets.sum(axis=0)
    assert by_label[counts <= 8].mean() < by_label[counts >= 35].mean() - 0.2
