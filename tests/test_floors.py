"""The house's floors: who may import whom, read from the source with `ast`."""

import ast
import subprocess
import sys

import pytest

from core.system.places import ROOT

FLOORS = [
    {"losses"},
    {"config"},
    {"files", "export", "machine"},
    {"failures"},
    {"readers"},
    {"corpus"},
    {"splits"},
    {"defects"},
    {"intake"},
    {"data"},
    {"labels", "documents"},
    {"cooccurrence"},
    {"lookalikes"},
    {"encoders", "tokens"},
    {"models", "networks", "inputs"},
    {"trackers", "models_svm"},
    {"trainer"},
    {"thresholds", "metrics", "confusion", "uncertainty", "label_errors"},
    {"store"},
    {"share"},
    {"predict"},
    {"explain"},
    {"sheets"},
    {"report", "gradients"},
    {"job_reporter", "job_heartbeat", "job_webhook"},
    {"training"},
    {"worker"},
    {"jobs"},
    {"estimates", "plans"},
    {"sweeps", "search"},
    {"figures"},
    {"cli"},
]
"""A module imports only from the floors before its own; those on one floor may share it."""
FLOOR = {module: number for number, modules in enumerate(FLOORS) for module in modules}
TORCH = {"losses", "models", "networks", "inputs", "trainer", "predict", "training", "worker", "gradients"}
NOT_IN_PAGES = {"torch", "numpy", "pandas", "sklearn", "scipy", "plotly", "altair", "transformers"}


def imports(path):
    """Every (module, name) that a file imports as it runs, at any depth; imports for a type checker alone are none."""
    tree = ast.parse(path.read_text("utf-8"))
    checked = [
        node for node in ast.walk(tree) if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    ]
    left_out = {id(inner) for node in checked for statement in node.body for inner in ast.walk(statement)}
    for node in ast.walk(tree):
        if id(node) in left_out:
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.module or "", alias.name) for alias in node.names)


def core_modules():
    return sorted(path for path in (ROOT / "core").rglob("*.py") if path.name not in ("__init__.py", "__main__.py"))


def owner(path):
    return path.relative_to(ROOT / "core").with_suffix("").parts[0]


@pytest.mark.parametrize("path", core_modules(), ids=lambda path: path.stem)
def test_a_module_imports_only_what_stands_above_it(path):
    mine = owner(path)
    for module, name in imports(path):
        parts = module.split(".")
        if parts[0] != "core":
            continue
        other = parts[1] if len(parts) > 1 else name
        if other not in ("__version__", mine):
            assert FLOOR[other] <= FLOOR[mine], f"{mine} imports {other}"


@pytest.mark.parametrize("path", sorted((ROOT / "core").rglob("*.py")), ids=lambda path: path.stem)
def test_core_knows_no_streamlit_and_torch_stays_where_it_is_needed(path):
    packages = {module.split(".")[0] for module, _ in imports(path)}
    assert "streamlit" not in packages
    assert "pickle" not in packages
    if "torch" in packages:
        assert owner(path) in TORCH


@pytest.mark.parametrize("path", [ROOT / "app.py", *sorted((ROOT / "pages").rglob("*.py"))], ids=lambda path: path.stem)
def test_pages_leave_the_work_to_core(path):
    assert not NOT_IN_PAGES & {module.split(".")[0] for module, _ in imports(path)}


def test_the_losses_can_be_taken_along_as_they_are():
    for path in (ROOT / "core" / "losses").rglob("*.py"):
        nodes = [node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.ImportFrom)]
        siblings = {node.module or "" for node in nodes if node.level == 1}
        assert all(node.level < 2 for node in nodes)
        packages = {module.split(".")[0] for module, _ in imports(path) if module not in siblings}
        assert packages - {"torch"} <= set(sys.stdlib_module_names)


def test_neither_the_command_line_nor_the_training_path_loads_the_dashboard():
    script = (
        "import sys, core.jobs.worker, core.cli.main\n"
        "print([m for m in ('streamlit', 'plotly', 'altair', 'transformers') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "[]"
    done = subprocess.run(
        [sys.executable, "-c", "import sys, core.cli.main, core.figures; print('torch' in sys.modules)"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    )
    assert done.stdout.strip() == "False", "every page but the loss page opens without torch"
