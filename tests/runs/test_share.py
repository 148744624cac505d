"""Runs that travel: what is published scores alike, what is exported comes back, what is foreign stays outside."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from safetensors.numpy import save_file
from typer.testing import CliRunner

from core.analysis import tables
from core.cli.main import make_app
from core.config.defaults import PAPER_LOSSES
from core.labels.groups import Borders
from core.metrics import label_sets, thresholds
from core.runs import results, scorer, share
from core.runs.folder import Run, as_run, delete_run, get_run, list_folders, published_dir, read_folder
from core.runs.layout import runs_dir
from core.runs.predictions import PREDICTIONS, Predictions, read_predictions, write_predictions
from core.system.errors import UserError
from core.system.files import read_json, write_json
from core.system.places import ROOT
from tests.helpers.scored import COUNTS, make_run

WITH_WEIGHTS = "reuters-tfidf-db-s0-966e74a879"
"""The published run that has its weights."""


@pytest.fixture
def run() -> Run:
    made = make_run("db")
    for name in share.WEIGHTS:
        (made.path / name).parent.mkdir(exist_ok=True)
        if name.endswith(".safetensors"):
            save_file({"weights": np.zeros(3)}, made.path / name)
        else:
            (made.path / name).write_text('{"weights": 3}')
    (made.path / "log.txt").write_text("/a/place/on/this/machine")
    (made.path / "history.jsonl").write_text('{"epoch": 1}\n')
    return made


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def scores_of(run: Run) -> dict[str, label_sets.Scores]:
    predictions = read_predictions(run)
    predicted = thresholds.apply(predictions.scores, predictions.threshold)
    return label_sets.score_groups(predictions.targets, predicted, COUNTS, Borders())


def test_a_published_run_scores_alike_and_holds_no_weights(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(share, "PUBLISHED_SCORES", 3)
    monkeypatch.setattr(share, "PUBLISHED_DOCUMENTS", 7)
    before, parts = scores_of(run), {part: read_predictions(run, part) for part in PREDICTIONS}
    path = share.publish(run)
    assert {file.name for file in path.iterdir()} == {
        *("config.json", "status.json", "metrics.json", "history.jsonl", "predictions.npz", "validation.npz")
    }
    assert "place" not in "".join(file.read_text("utf-8", errors="ignore") for file in path.iterdir())
    assert "/somewhere" not in (path / "metrics.json").read_text("utf-8")
    published = read_folder(path)
    assert published.published
    assert scores_of(published) == before
    for part, whole in parts.items():
        thin = read_predictions(published, part)
        assert thin.ids == whole.ids
        best = np.argsort(-whole.scores.astype(float), axis=1)[:, :3]
        rows = np.arange(len(best))[:, None]
        np.testing.assert_array_equal(thin.scores.toarray()[rows, best], whole.scores[rows, best])
        best, columns = np.argsort(-whole.scores.astype(float), axis=0, kind="stable")[:7], np.arange(10)
        np.testing.assert_array_equal(thin.scores.toarray()[best, columns], whole.scores[best, columns])
        assert thin.scores.nnz < whole.scores.size / 2
    with pytest.raises(UserError, match="published already"):
        share.publish(run)


def test_the_weights_of_a_small_model_on_words_are_published_when_asked_for(run: Run) -> None:
    path = share.publish(run, weights=True)
    for name in share.PUBLISHED_WEIGHTS:
        assert (path / name).read_bytes() == (run.path / name).read_bytes()
    assert not (path / "encoder").exists()


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("bigrams", True, "no text can be read"),
        ("min_df", 1, "no text can be read"),
        ("name", "transformer", "no text can be read"),
        ("missing", 0, "has no vocabulary.json"),
        ("large", 0, "at most 1e-06 MB"),
    ],
)
def test_other_weights_are_not_published(
    run: Run, setting: str, value: object, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if setting == "missing":
        (run.path / "vocabulary.json").unlink()
    elif setting == "large":
        monkeypatch.setattr(share, "LARGEST_WEIGHTS", 1)
    else:
        model = run.config.model.model_copy(update={setting: value})
        run = replace(run, config=run.config.model_copy(update={"model": model}))
    with pytest.raises(UserError, match=said):
        share.publish(run, weights=True)
    assert not list(published_dir().glob("*"))


def test_one_run_that_comes_with_tailscope_reads_a_text_at_once() -> None:
    found = as_run(read_folder(ROOT / "cache" / "published" / WITH_WEIGHTS))
    assert scorer.find_missing(found) == []
    assert sum((found.path / name).stat().st_size for name in share.PUBLISHED_WEIGHTS) <= share.LARGEST_WEIGHTS
    (labels,) = scorer.load(found)(["The central bank sold gold bullion. An ounce of gold rose, gold mines said."])
    assert labels[0][0] == "gold"
    words = read_json(found.path / "vocabulary.json")["words"]
    assert not [word for word in words if " " in word], "single words, from which no text can be read"


def test_no_score_is_published_because_its_label_is_true(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(share, "PUBLISHED_SCORES", 3)
    monkeypatch.setattr(share, "PUBLISHED_DOCUMENTS", 7)
    part = read_predictions(run)
    stored = share._thin(part).scores
    without = Predictions(part.ids, part.rows, sp.csr_array(part.targets.shape, dtype=bool), part.scores, 0.5)
    assert stored.nnz < part.scores.size / 2
    assert (stored != share._thin(without).scores).nnz == 0


@pytest.mark.parametrize("limits", [0.9, np.linspace(0.2, 1.0, 60)], ids=["one threshold", "one for each label"])
def test_of_thousands_of_labels_the_highest_scores_are_published(
    limits: thresholds.Limits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(share, "PUBLISHED_OF_MANY", (20, 10))
    rng = np.random.default_rng(0)
    whole = sp.csr_array(sp.random_array((90, 60), density=0.6, rng=rng, format="csr", dtype=np.float32))
    whole.data = rng.permutation(np.arange(1, whole.nnz + 1, dtype=np.float32)) / whole.nnz  # no two equal
    targets = sp.csr_array(rng.random(whole.shape) < 0.1)
    thin = share._thin(Predictions([], np.arange(0), targets, whole, limits)).scores
    assert isinstance(thin, sp.csr_array)
    dense, found = whole.toarray(), thin.toarray()
    np.testing.assert_array_equal(found[found != 0], dense[found != 0])
    wanted = (dense > limits) & (dense > 0)
    for axis, most in ((1, 20), (0, 10)):
        wanted |= dense >= np.sort(dense, axis=axis).take([-most], axis=axis)
    np.testing.assert_array_equal(found != 0, wanted & (dense != 0))
    assert thin.nnz < 0.9 * whole.nnz
    np.testing.assert_array_equal(thresholds.apply(thin, limits).toarray(), thresholds.apply(whole, limits).toarray())
    # The labels that are true do not matter.
    other = Predictions([], np.arange(0), sp.csr_array(targets.shape, dtype=bool), whole, limits)
    assert (share._thin(other).scores != thin).nnz == 0


def test_few_scores_and_none_are_published_whole() -> None:
    for scores in (sp.csr_array((4, 5), dtype=np.float32), sp.csr_array(np.eye(4, 5, dtype=np.float32))):
        thin = share._thin(Predictions([], np.arange(0), sp.csr_array((4, 5), dtype=bool), scores, 0.5)).scores
        assert (thin != scores).nnz == 0


@pytest.mark.parametrize("rule", ["exact", "quiet", "quiet-margins"])
def test_a_rule_is_fitted_on_what_is_published_as_on_all_scores(
    run: Run, monkeypatch: pytest.MonkeyPatch, rule: str
) -> None:
    monkeypatch.setattr(share, "PUBLISHED_SCORES", 3)
    whole = read_predictions(run, "validation")
    scores = whole.scores if rule != "quiet-margins" else np.log(whole.scores / (1 - whole.scores.astype(float)))
    part = Predictions(whole.ids, whole.rows, whole.targets, scores, whole.threshold)
    limits = [thresholds.fit(one.targets, one.scores, rule=rule) for one in (part, share._thin(part))]
    np.testing.assert_allclose(*limits, rtol=1e-6)


def test_published_runs_are_listed_below_ones_own_and_never_changed(run: Run) -> None:
    share.publish(run)
    assert [one.published for one in list_folders()] == [False]
    delete_run(run.id)
    assert [one.published for one in list_folders()] == [True]
    assert get_run(run.id).published
    with pytest.raises(UserError, match="not deleted"):
        delete_run(run.id)
    with pytest.raises(UserError, match="never changed"):
        results.save_threshold_set(get_run(run.id), "mine", rule="fixed", values=0.3)


@pytest.mark.parametrize("weights", [True, False])
def test_an_exported_run_comes_back_as_it_was(run: Run, tmp_path: Path, weights: bool) -> None:
    results.save_threshold_set(run, "mine", rule="fixed", values=0.3)
    before = contents(run.path)
    share.export(run, tmp_path / "run.zip", weights=weights)
    assert [file.name for file in tmp_path.iterdir() if file.suffix == ".zip"] == ["run.zip"]
    delete_run(run.id)
    back = share.import_run(tmp_path / "run.zip")
    assert isinstance(back, Run)
    assert (back.id, back.state) == (run.id, "finished")
    after = contents(back.path)
    expected = before.keys() - {"log.txt"} - (set() if weights else set(share.WEIGHTS))
    assert after.keys() == expected
    same = expected - {"metrics.json", "status.json", "config.json"}
    assert {name: after[name] for name in same} == {name: before[name] for name in same}
    assert json.loads(after["metrics.json"])["source"] == "data.tar.gz"
    with pytest.raises(UserError, match="is there already"):
        share.import_run(tmp_path / "run.zip")


def test_only_finished_runs_travel(run: Run, tmp_path: Path) -> None:
    write_json(run.path / "status.json", {"state": "failed", "submitted": 1.0})
    for action in (share.publish, lambda one: share.export(one, tmp_path / "run.zip")):
        with pytest.raises(UserError, match="it is failed"):
            action(get_run(run.id))
    assert not (tmp_path / "run.zip").exists()
    assert not published_dir().exists() or not list(published_dir().iterdir())


def rewritten(source: Path, target: Path, changes: dict[str, bytes | None]) -> Path:
    """A copy of a zip with files replaced, added, or (None) left out; names are below the run's folder."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        folder = old.namelist()[0].partition("/")[0]
        kept = {name: old.read(name) for name in old.namelist()}
        kept |= {name if name.startswith("/") or "!" in name else f"{folder}/{name}": v for name, v in changes.items()}
        for name, content in kept.items():
            if content is not None:
                new.writestr(name.replace("!", ""), content)
    return target


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"run.py": b"print()"}, "run.py', which is no file of a run"),
        ({"sub/config.json": b"{}"}, "which is no file of a run"),
        ({"../../config.json": b"{}"}, "which is no file of a run"),
        ({"!elsewhere/config.json": b"{}"}, "must hold one folder"),
        ({"/etc/config.json": b"{}"}, "must hold one folder"),
        ({"predictions.npz": None}, "lacks predictions.npz"),
        ({"predictions.npz": b"PK\x03\x04 cut"}, "predictions.npz is damaged"),
        ({"config.json": b'{"sead": 1}'}, "config.json"),
        ({"metrics.json": b"{]"}, "metrics.json is damaged"),
        ({"metrics.json": b'{"test": {}}'}, "does not hold labels"),
        ({"status.json": b'{"state": "running"}'}, "it is lost"),
    ],
)
def test_a_foreign_zip_is_refused_in_one_sentence(
    run: Run, tmp_path: Path, changes: dict[str, bytes | None], said: str
) -> None:
    share.export(run, tmp_path / "good.zip")
    delete_run(run.id)
    bad = rewritten(tmp_path / "good.zip", tmp_path / "bad.zip", changes)
    with pytest.raises(UserError, match=said.replace(".", r"\.")):
        share.import_run(bad)
    assert not list(runs_dir().iterdir())
    assert not (tmp_path / "config.json").exists()


def test_a_zip_with_other_labels_or_too_many_bytes_is_refused(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    share.export(run, tmp_path / "good.zip")
    metrics_of = results.read_metrics(run)
    delete_run(run.id)
    changed = json.dumps({**metrics_of, "labels": ["one"], "counts": [1]}).encode()
    with pytest.raises(UserError, match="different labels"):
        share.import_run(rewritten(tmp_path / "good.zip", tmp_path / "bad.zip", {"metrics.json": changed}))
    monkeypatch.setattr(share, "LARGEST", 100)
    with pytest.raises(UserError, match="would need more than"):
        share.import_run(tmp_path / "good.zip")
    assert not list(runs_dir().iterdir())


def arrays_of(content: bytes, **changes: np.ndarray) -> bytes:
    """The arrays of a .npz with some of them replaced."""
    with np.load(io.BytesIO(content)) as stored:
        arrays = dict(stored) | changes
    file = io.BytesIO()
    np.savez_compressed(file, allow_pickle=False, **arrays)
    return file.getvalue()


BOMB = np.broadcast_to(np.zeros(1, np.int8), 1_100_000_000)
"""More bytes than are read, which a zip holds in a thousandth."""


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"scores": np.full((3, 3), "a")}, "predictions.npz is damaged"),
        ({"scores": np.full((2, 10), 0.5)}, "do not fit together"),
        ({"scores": np.full((200, 10), np.nan)}, "2000 of its scores are not numbers"),
        ({"shape": np.zeros(0, int)}, "predictions.npz is damaged"),
        ({"shape": np.array([200, 10**9])}, "predictions.npz is damaged"),
        ({"target_indices": np.array([10**6])}, "predictions.npz is damaged"),
        ({"rows": np.array(["a"])}, "do not fit together"),
        ({"threshold": np.array([0.1, 0.2])}, "predictions.npz is damaged"),
        ({"threshold": np.array(np.nan)}, "its threshold is no number"),
        pytest.param({"bomb": BOMB}, "would need more than 1 GB of memory", marks=pytest.mark.slow),
    ],
)
def test_arrays_of_a_stranger_are_refused_in_one_sentence(
    run: Run, tmp_path: Path, changes: dict[str, np.ndarray], said: str
) -> None:
    share.export(run, tmp_path / "good.zip")
    changed = arrays_of((run.path / "predictions.npz").read_bytes(), **changes)
    delete_run(run.id)
    with pytest.raises(UserError, match=said.replace(".", r"\.")):
        share.import_run(rewritten(tmp_path / "good.zip", tmp_path / "bad.zip", {"predictions.npz": changed}))
    assert not list(runs_dir().iterdir())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"labels": 3}, "labels: input should be a valid list"),
        ({"labels": ["a"] * 10}, "a label is there twice"),
        ({"counts": ["many"] * 10}, "counts.0: input should be a valid integer"),
        ({"counts": [1]}, "differ in number"),
        ({"borders": {"head": 3, "tail": 8}}, "its borders make no sense"),
        ({"borders": {"head": 3}}, "its borders make no sense"),
        ({"threshold": float("nan")}, "threshold: input should be a finite number"),
        ({"test": {}}, "the scores of all labels are missing"),
        ({"test": {"all": {"micro_f1": "high"}}}, "input should be a valid number"),
        ({"versions": ["2"]}, "versions: input should be a valid dictionary"),
    ],
)
def test_scores_of_wrong_types_are_one_sentence(run: Run, changes: dict[str, object], said: str) -> None:
    kept = results.read_metrics(run)
    (run.path / "metrics.json").write_text(json.dumps({**kept, **changes}), "utf-8")
    with pytest.raises(UserError, match=f"metrics.json is damaged .*{said}"):
        results.read_results(run)


TWO = """
import sys, time
from pathlib import Path
from core.runs import predictions, results, share
from core.runs.folder import get_run
from core.system.errors import UserError
me, run_id, zip_path, begin = sys.argv[1:]
while not Path(begin).exists():
    time.sleep(0.001)
for turn in range(20):
    results.save_threshold_set(get_run(run_id), f"{me} {turn}", rule="fixed", values=turn / 20)
    assert results.read_results(get_run(run_id)) and len(predictions.read_predictions(get_run(run_id)).ids) == 200
done = []
for action in (lambda: share.publish(get_run(run_id)), lambda: share.import_run(Path(zip_path))):
    try:
        action()
        done.append("done")
    except UserError as error:
        done.append("late" if "already" in str(error) else str(error))
print(*done)
"""


@pytest.mark.slow
def test_two_processes_on_one_cache_lose_and_tear_nothing(run: Run, tmp_path: Path) -> None:
    other = make_run("bce")
    share.export(other, tmp_path / "run.zip")
    delete_run(other.id)
    arguments = (run.id, str(tmp_path / "run.zip"), str(tmp_path / "begin"))
    both = [
        subprocess.Popen([sys.executable, "-c", TWO, me, *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for me in ("one", "two")
    ]
    (tmp_path / "begin").touch()
    said = [process.communicate(timeout=120)[0].split() for process in both]
    assert [sorted(parts) for parts in zip(*said, strict=True)] == [["done", "late"], ["done", "late"]]
    assert len(results.read_threshold_sets(run)) == 40
    for one in (get_run(other.id), read_folder(published_dir() / run.id)):
        assert isinstance(one, Run)
        assert len(results.read_results(one)["labels"]) == read_predictions(one).targets.shape[1]
    left = [path for folder in (runs_dir(), published_dir()) for path in folder.glob(".*")]
    assert not left


@pytest.mark.parametrize("keep", [0, 10, 0.5, -4])
def test_a_damaged_zip_is_one_sentence(run: Run, tmp_path: Path, keep: float) -> None:
    share.export(run, tmp_path / "good.zip")
    delete_run(run.id)
    content = (tmp_path / "good.zip").read_bytes()
    (tmp_path / "cut.zip").write_bytes(content[: int(keep * len(content)) if 0 < keep < 1 else int(keep)])
    done = CliRunner().invoke(make_app(), ["import", str(tmp_path / "cut.zip")])
    assert isinstance(done.exception, UserError)
    assert "cut.zip is no intact zip of a run" in str(done.exception)
    assert not list(runs_dir().iterdir())


def test_a_link_in_a_zip_is_refused(run: Run, tmp_path: Path) -> None:
    share.export(run, tmp_path / "good.zip")
    delete_run(run.id)
    with zipfile.ZipFile(tmp_path / "good.zip", "a") as archive:
        link = zipfile.ZipInfo(f"{run.id}/thresholds.json")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(UserError, match="no file of a run"):
        share.import_run(tmp_path / "good.zip")


def test_the_command_line_publishes_exports_and_imports(run: Run, tmp_path: Path) -> None:
    def call(*words: str) -> str:
        done = CliRunner().invoke(make_app(), list(words))
        assert done.exit_code == 0, done.output
        return done.stdout

    assert "published at" in call("publish", run.id)
    call("export", run.id, "-o", str(tmp_path / "run.zip"))
    call("delete", run.id)
    assert call("import", str(tmp_path / "run.zip")).strip() == run.id
    assert "finished · 100%" in call("status", run.id)
    assert not get_run(run.id).published


def test_named_thresholds_are_kept_with_the_run(run: Run) -> None:
    assert results.read_threshold_sets(run) == {}
    results.save_threshold_set(run, "low", rule="fixed", values=0.2)
    results.save_threshold_set(run, " each ", rule="per-label", values=[0.1] * 10)
    results.save_threshold_set(run, "low", rule="fixed", values=0.25)
    assert results.read_threshold_sets(run) == {
        "low": {"rule": "fixed", "values": 0.25},
        "each": {"rule": "per-label", "values": [0.1] * 10},
    }
    with pytest.raises(UserError, match="need a name"):
        results.save_threshold_set(run, " ", rule="fixed", values=0.2)
    (run.path / "thresholds.json").write_text('{"x": 3}')
    with pytest.raises(UserError, match=r"thresholds\.json is damaged"):
        results.read_threshold_sets(run)


def test_scores_that_are_no_numbers_are_said(run: Run) -> None:
    predictions = read_predictions(run)
    predictions.scores[3, 2] = np.nan
    write_predictions(run.path, predictions)
    with pytest.raises(UserError, match="1 of its scores are not numbers"):
        read_predictions(run)
    (run.path / "validation.npz").unlink()
    with pytest.raises(UserError, match="an older version made the run"):
        read_predictions(run, "validation")


def test_the_published_runs_are_whole_and_carry_nothing_of_a_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAILSCOPE_CACHE", str(ROOT / "cache"))
    runs = [as_run(found) for found in list_folders() if found.published]
    methods = {(run.config.data.name, tables.method(run), run.config.seed) for run in runs}
    on_reuters = {("reuters", name, seed) for name in ("svm", *PAPER_LOSSES) for seed in (0, 1, 2)}
    on_reuters |= {("reuters", name, 0) for name in ("combined", "encdec", "ocd")}
    on_pubmed = {("pubmed-sample", name, seed) for name in ("svm", "tree", *PAPER_LOSSES) for seed in range(3)}
    on_pubmed |= {("pubmed-sample", "combined", 0)}
    assert methods == on_reuters | on_pubmed
    for run in runs:
        kept = results.read_results(run)
        made = f"train --data {run.config.data.name} --model "
        if run.config.combined:
            made = f"combine {run.config.data.name}-"
        assert run.config.data.name == "reuters" or sum(file.stat().st_size for file in run.path.iterdir()) < 1_200_000
        assert kept["command"].startswith(f"python -m core {made}")
        more = share.PUBLISHED_WEIGHTS if run.id == WITH_WEIGHTS else ()
        assert not {file.name for file in run.path.iterdir()} - {*share.RESULTS, *more}
        for file in run.path.glob("*.json*"):
            assert not re.search(r'"/|[A-Za-z]:\\\\', file.read_text("utf-8"))
        for part in ("test", "validation"):
            predictions = read_predictions(run, part)
            predicted = thresholds.apply(predictions.scores, predictions.threshold)
            counts, borders = np.array(kept["counts"]), Borders(**kept["borders"])
            assert label_sets.score_groups(predictions.targets, predicted, counts, borders) == kept[part]
