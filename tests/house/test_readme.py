"""What the documentation says, held against the code: paths, names, commands, and the Python of the losses."""

from __future__ import annotations

import ast
import copy
import functools
import io
import re
import shutil
import subprocess
import sys
from contextlib import redirect_stdout, suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from core.analysis.loss_words import origin, title_of
from core.cli.main import main
from core.config.defaults import LOSS_NAMES
from core.losses import build_loss, constants
from core.system.places import ROOT

COUNTS, DOCUMENTS, LABELS = [60, 30, 9, 2], 100, 4
README, LOSSES_README = ROOT / "README.md", ROOT / "core" / "losses" / "README.md"
PUBLISHED = ROOT / "cache" / "published" / "README.md"
MOST_BYTES = 10_000
MOST_LETTERS = 160
PICTURE_BYTES = 250_000
TOP = {
    "app.py",
    "pages",
    "core",
    "cache",
    "tests",
    "requirements.txt",
    "README.md",
    "LICENSE",
    "CHANGELOG.md",
    "Makefile",
}
PAGES_OF_TEXT = sorted(
    path
    for path in [*ROOT.glob("*.md"), *(ROOT / ".streamlit").glob("*.md"), ROOT / "cache/README.md"]
    + [path for folder in ("core", "pages", "tests", "cache/published") for path in (ROOT / folder).rglob("*.md")]
)


def title(path: Path) -> str:
    return str(path.relative_to(ROOT))


def without_code(text: str) -> str:
    return re.sub(r"```.*?```", "", text, flags=re.DOTALL)


def rows_of(text: str, first: str) -> list[list[str]]:
    """The cells of the rows of the table whose heading begins with `first`."""
    lines = text.partition(f"\n| {first} |")[2].splitlines()[2:]
    found = []
    for line in lines:
        if not line.startswith("|"):
            break
        found.append([cell.strip() for cell in line.strip("|").split("|")])
    return found


def paths_of_the_tree() -> list[str]:
    """Paths of the README's file tree, folders with a slash at the end."""
    block = README.read_text("utf-8").partition("## Where things stand")[2].split("```")[1]
    found: list[str] = []
    above: list[str] = []
    for line in block.strip("\n").splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        name = line.split()[0]
        above = [*above[:depth], name]
        found.append("".join(above))
    return found


# The front door.


def test_the_readme_is_short() -> None:
    assert len(README.read_bytes()) <= MOST_BYTES


def test_the_picture_is_small_and_not_ignored() -> None:
    (name,) = re.findall(r"!\[.+?\]\((.+?)\)", README.read_text("utf-8"))
    assert 10_000 < (ROOT / name).stat().st_size <= PICTURE_BYTES
    if (ROOT / ".git").exists():
        assert subprocess.run(["git", "check-ignore", "-q", name], cwd=ROOT, check=False).returncode == 1


@pytest.mark.parametrize("path", paths_of_the_tree())
def test_what_the_tree_names_is_there(path: str) -> None:
    assert (ROOT / path).is_dir() if path.endswith("/") else (ROOT / path).is_file()


def test_the_tree_names_the_top_level_and_every_folder_of_core() -> None:
    tree = set(paths_of_the_tree())
    folders = {f"core/{path.parent.name}/" for path in (ROOT / "core").glob("*/*.py")}
    assert folders == {path for path in tree if path.startswith("core/") and path != "core/"}
    assert {path.strip("/") for path in tree if path.strip("/").count("/") == 0} == TOP - {"README.md"}


def test_the_table_of_losses_is_that_of_the_code() -> None:
    rows = rows_of(README.read_text("utf-8"), "name")
    assert [(name.strip("`"), full) for name, full, _ in rows] == [(name, title_of(name)) for name in LOSS_NAMES]
    assert all(10 < len(words) < 80 for _, _, words in rows)


def test_the_pages_are_those_of_the_menu() -> None:
    from pages.shared.menu import PAGES

    assert [name for name, _ in rows_of(README.read_text("utf-8"), "page")] == list(PAGES.values())


# Every page of text.


@pytest.mark.parametrize("path", PAGES_OF_TEXT, ids=title)
def test_no_line_of_prose_is_long(path: Path) -> None:
    lines = path.read_text("utf-8").splitlines()
    assert not [line for line in lines if len(line) > MOST_LETTERS and not line.startswith("|")]


@pytest.mark.parametrize("path", PAGES_OF_TEXT, ids=title)
def test_links_lead_to_files_and_headings(path: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(path.read_text("utf-8"))):
        if target.startswith("http"):
            continue
        name, _, anchor = target.partition("#")
        linked = (path.parent / name).resolve() if name else path
        assert linked.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", without_code(linked.read_text("utf-8")), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


def output_of(*words: str) -> str:
    """What the command line prints, called here."""
    with redirect_stdout(io.StringIO()) as out, pytest.MonkeyPatch.context() as at:
        at.setattr(sys, "argv", ["core", *words])
        with suppress(SystemExit):
            main()
    return out.getvalue()


@functools.cache
def help_of(*command: str) -> str:
    return output_of(*command, "--help")


def commands_of(path: Path) -> list[str]:
    text = path.read_text("utf-8").replace("\\\n", " ")
    return [command.partition("#")[0] for command in re.findall(r"python -m core ([a-z][^`\n|]*)", text)]


@pytest.mark.parametrize("path", [path for path in PAGES_OF_TEXT if commands_of(path)], ids=title)
def test_every_command_and_option_exists(path: Path) -> None:
    commands = help_of()
    for command in commands_of(path):
        words = command.split()
        assert re.search(rf"^\s+{words[0]}\s", commands, re.MULTILINE), command
        inner = words[:2] if words[0] == "data" and len(words) > 1 and words[1].isalpha() else words[:1]
        options = {word for word in words if re.fullmatch(r"-{1,2}[a-z-]+", word)}
        assert all(f"{option} " in help_of(*inner) or f"{option}," in help_of(*inner) for option in options), command


@pytest.mark.parametrize("path", PAGES_OF_TEXT, ids=title)
def test_every_import_of_a_block_of_python_resolves(path: Path) -> None:
    for block in re.findall(r"```python\n(.*?)```", path.read_text("utf-8"), re.DOTALL):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("core"):
                module = import_module(str(node.module))
                for alias in node.names:
                    assert hasattr(module, alias.name) or import_module(f"{node.module}.{alias.name}")


def test_every_benchmark_has_its_figures() -> None:
    text = (ROOT / "tests/benchmarks/RESULTS.md").read_text("utf-8")
    for path in (ROOT / "tests/benchmarks").glob("*.py"):
        if path.stem != "__init__":
            assert f"tests.benchmarks.{path.stem}" in text or f"tests/benchmarks/{path.name}" in text


def test_make_test_collects_every_test_of_a_cluster() -> None:
    folders = set(re.findall(r"-m cluster .*?(tests/\S+)", (ROOT / "Makefile").read_text("utf-8")))
    marked = [
        path for path in (ROOT / "tests").rglob("*.py") if re.search(r"\bmark\.cluster\b", path.read_text("utf-8"))
    ]
    assert marked
    assert [title(path) for path in marked if not any(ROOT / name in path.parents for name in folders)] == []


def print_table(data: str, rule: str, *, least: int) -> list[str]:
    """The lines of the table of the published runs on a data set, which stands in their README."""
    runs = sorted(path.name for path in PUBLISHED.parent.glob(f"{data}-*"))
    printed = output_of("report", *runs, "--rule", rule, "--markdown").splitlines()
    printed = [line for line in printed if line.startswith("|")]
    assert len(printed) > least
    assert "\n".join(printed) in PUBLISHED.read_text("utf-8")
    return printed


@pytest.mark.slow
@pytest.mark.parametrize("rule", ["exact", "quiet"])
def test_the_tables_of_pubmed_are_what_the_report_prints(cache: Path, rule: str) -> None:
    shutil.copytree(PUBLISHED.parent, cache / "published")
    print_table("pubmed", rule, least=18)


def test_the_tables_are_what_the_report_prints(cache: Path) -> None:
    shutil.copytree(PUBLISHED.parent, cache / "published")
    rows = {}
    for rule in ("paper", "quiet"):
        printed = print_table("reuters", rule, least=20)
        rows[rule] = {(row[1], row[2], row[8]) for row in (line.strip("|").split("|") for line in printed[2:])}
    for _, *numbers in rows_of(README.read_text("utf-8"), "run"):
        micro, macro, tail, quiet_micro, quiet_macro, quiet_tail = numbers
        assert (micro, macro, tail) in rows["paper"]
        assert (quiet_micro, quiet_macro, quiet_tail) in rows["quiet"] or quiet_micro == "–"


# Losses in your own code.


def test_the_presets_are_those_of_the_code() -> None:
    rows = rows_of(LOSSES_README.read_text("utf-8"), "name")
    for name, weight, focal, tolerant, damped, reuters, pubmed in rows:
        values = constants(name.strip("`"), COUNTS, DOCUMENTS)
        kind = "rebalanced" if "beta" in values else "class-balanced" if "cb_beta" in values else "one"
        assert (weight, focal == "yes", tolerant == "yes") == (kind, "gamma" in values, "kappa" in values)
        assert damped == ("yes" if tolerant and name != "`ntr-fl-released`" else "")
        assert float(reuters) == values["scale"]
        assert float(pubmed) == constants(name.strip("`"), COUNTS, DOCUMENTS, "pubmed")["scale"]
    parts = {
        name: values for _, cell in rows_of(LOSSES_README.read_text("utf-8"), "part") for name, values in named(cell)
    }
    assert parts == {
        key: value
        for name in LOSS_NAMES[: len(rows)]
        for key, value in constants(name, COUNTS, DOCUMENTS).items()
        if key != "scale"
    }


def test_the_other_losses_are_those_of_the_code() -> None:
    after = LOSSES_README.read_text("utf-8").partition("The losses of other papers")[2]
    rows = rows_of(after, "name")
    first = rows_of(LOSSES_README.read_text("utf-8"), "name")
    assert [row[0].strip("`") for row in (*first, *rows)] == list(LOSS_NAMES)
    for name, source, cell, decision in rows:
        assert {"scale": 1.0, **dict(named(cell))} == constants(name.strip("`"), COUNTS, DOCUMENTS)
        assert origin(name.strip("`")).startswith(f"{source}. Decide by ")
        assert ("logit above 0" in origin(name.strip("`"))) == (decision == "logit above 0")


def named(cell: str) -> list[tuple[str, float]]:
    """Constants and values of a cell such as "`gamma` 2, `kappa` 0.05"."""
    return [
        (name, 1.0 if value == "True" else float(value))
        for name, value in re.findall(r"`(\w+)` (True|-?[\d.]+\d|\d)", cell)
    ]


def snippet(word: str) -> str:
    """The one block of Python that uses `word`."""
    (block,) = [
        block
        for block in re.findall(r"```python\n(.*?)```", LOSSES_README.read_text("utf-8"), re.DOTALL)
        if word in block
    ]
    return str(block)


def run(word: str, **names: Any) -> dict[str, Any]:
    """Runs a block where `names` are known and returns all names after it."""
    known = {"counts": COUNTS, "documents": DOCUMENTS, **names}
    exec(compile(snippet(word), str(LOSSES_README), "exec"), known)
    return known


def examples(size: int = 16) -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    return torch.randn(size, 8), (torch.rand(size, LABELS) < 0.4).float()


def test_the_first_lines() -> None:
    logits, targets = torch.zeros(16, LABELS, requires_grad=True), examples()[1]
    run("training documents in all", logits=logits, targets=targets)
    assert logits.grad is not None
    assert logits.grad.abs().sum() > 0


def test_a_loop() -> None:
    features, targets = examples()
    model = nn.Linear(8, LABELS)
    loss = build_loss("db", COUNTS, DOCUMENTS)
    before = loss(model(features), targets).item()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    run("in loader", model=model, optimizer=optimizer, loader=[(features, targets)] * 20)
    assert loss(model(features), targets).item() < 0.5 * before


@pytest.mark.slow
def test_trainer_of_transformers(tmp_path: Path) -> None:
    pytest.importorskip("accelerate", reason="transformers.Trainer needs accelerate")
    from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
    off = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    model = BertForSequenceClassification(BertConfig(vocab_size=20, num_labels=LABELS, **sizes, **off))
    _, targets = examples(8)
    ids = torch.randint(20, (8, 5))
    dataset = [{"input_ids": words, "labels": row} for words, row in zip(ids, targets, strict=True)]
    expected = copy.deepcopy(model)
    step = torch.optim.SGD(expected.parameters(), lr=0.5)
    build_loss("db", COUNTS, DOCUMENTS)(expected(ids).logits, targets).backward()
    step.step()
    for batch in (8, 2):  # at once, and added up over four batches
        arguments = TrainingArguments(
            str(tmp_path),
            per_device_train_batch_size=batch,
            gradient_accumulation_steps=8 // batch,
            max_steps=1,
            learning_rate=0.5,
            max_grad_norm=0.0,
            optim="sgd",
            lr_scheduler_type="constant",
            use_cpu=True,
            report_to="none",
            disable_tqdm=True,
            save_strategy="no",
        )
        trained = copy.deepcopy(model)
        run("compute_loss_func", model=trained, arguments=arguments, dataset=dataset, Trainer=Trainer)
        torch.testing.assert_close(trained.classifier.weight, expected.classifier.weight, rtol=1e-4, atol=1e-7)


def test_lightning(tmp_path: Path) -> None:
    lightning = pytest.importorskip("lightning", reason="Lightning is not installed")
    features, targets = examples()
    model = nn.Linear(8, LABELS)
    expected = copy.deepcopy(model)
    step = torch.optim.SGD(expected.parameters(), lr=1.0)
    build_loss("db", COUNTS, DOCUMENTS)(expected(features), targets).backward()
    step.step()

    class Trained(run("training_step", lightning=lightning)["Classifier"]):  # type: ignore[misc]
        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), lr=1.0)

    off = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    trainer = lightning.Trainer(max_steps=1, accelerator="cpu", default_root_dir=tmp_path, **off)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(features, targets), batch_size=16)
    trainer.fit(Trained(model), loader)
    torch.testing.assert_close(model.weight, expected.weight)


def test_labels_in_blocks() -> None:
    torch.manual_seed(0)
    rows, labels = torch.tensor([0, 0, 3]), torch.tensor([1, 3, 0])
    known = run("LinearLoss(768", features=torch.randn(9, 768), rows=rows, labels=labels)
    assert known["scores"].shape == (8, LABELS)
    assert known["layer"].weight.grad.abs().sum() > 0


def test_mu_as_the_readme_chooses_it() -> None:
    _, targets = examples()
    rows, labels = targets.nonzero(as_tuple=True)
    loss = build_loss("db", targets.sum(0), len(targets), mu="auto", positives=(rows, labels))
    assert 0 < loss.mu <= 1  # type: ignore[union-attr,operator]
