"""The house's floors: which folder of `core` may import which, read from the source with `ast`."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter

import pytest

from core.system.places import ROOT

FLOORS = (
    ("losses", "system"),
    ("config",),
    ("labels",),
    ("data",),
    ("metrics",),
    ("models",),
    ("trainer",),
    ("runs",),
    ("jobs", "analysis"),
    ("figures",),
    ("cli",),
)
"""A folder imports from the floors before its own; the two on one floor do not know each other."""
FLOOR = {folder: number for number, folders in enumerate(FLOORS) for folder in folders}
TORCH = {
    *("losses", "models", "trainer"),
    *("runs/network_scorer.py", "runs/export_model.py", "jobs/worker.py", "jobs/training.py"),
}
"""Folders and files that may import torch."""
NOT_IN_PAGES = {"torch", "numpy", "pandas", "sklearn", "scipy", "plotly", "altair", "transformers"}
TOP_LEVEL = {
    *("app.py", "pages", "core", "cache", "tests", "requirements.txt", "README.md"),
    *("LICENSE", "NOTICE", "CHANGELOG.md", "Makefile"),
    *("requirements-ray.txt", "requirements-s3.txt", "requirements-slurm.txt"),
}


def imports(path):
    """Every (module, name) that a file imports when it runs, at any depth; TYPE_CHECKING imports are none."""
    tree = ast.parse(path.read_text("utf-8"))
    for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for statement in node.body
        for inner in ast.walk(statement)
    }
    for node in ast.walk(tree):
        if id(node) in for_types:
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level:
                parts = path.relative_to(ROOT).with_suffix("").parts
                module = ".".join([*parts[: len(parts) - node.level], *([module] if module else [])])
            yield from ((module, alias.name) for alias in node.names)


def core_files():
    return sorted(path for path in (ROOT / "core").rglob("*.py") if path.parent != ROOT / "core")


def name_of(path):
    return str(path.relative_to(ROOT / "core"))


def test_core_is_the_folders_of_the_house():
    found = {path.name for path in (ROOT / "core").iterdir() if path.name != "__pycache__"}
    assert found == {*FLOOR, "__init__.py", "__main__.py"}


def test_the_top_level_is_the_products():
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    found = {line.split("/")[0] for line in done.stdout.split("\n") if line}
    assert {name for name in found if not name.startswith(".")} <= TOP_LEVEL


@pytest.mark.parametrize("path", core_files(), ids=name_of)
def test_a_folder_imports_only_what_stands_above_it(path):
    mine = path.relative_to(ROOT / "core").parts[0]
    for module, name in imports(path):
        parts = module.split(".")
        if parts[0] != "core":
            continue
        other = parts[1] if len(parts) > 1 else name
        if other not in ("__version__", mine):
            assert FLOOR[other] < FLOOR[mine], f"{mine} imports {module} {name}"


def test_inside_a_folder_there_is_no_circle():
    modules = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in core_files()}
    graph = {}
    for module, path in modules.items():
        wanted = {candidate for one, name in imports(path) for candidate in (one, f"{one}.{name}")}
        graph[module.removesuffix(".__init__")] = {other for other in wanted if other in modules and other != module}
    assert list(TopologicalSorter(graph).static_order()), "graphlib raises CycleError with the circle's names"


@pytest.mark.parametrize("path", core_files(), ids=name_of)
def test_core_knows_no_streamlit_and_torch_stays_where_it_is_needed(path):
    packages = {module.split(".")[0] for module, _ in imports(path)}
    assert "streamlit" not in packages
    assert "pickle" not in packages
    if "torch" in packages:
        assert TORCH & {name_of(path), name_of(path).split("/")[0]}


@pytest.mark.parametrize("path", core_files(), ids=name_of)
def test_charts_are_drawn_in_figures_alone(path):
    drawn = {module.split(".")[0] for module, _ in imports(path)} & {"altair", "plotly"}
    assert not drawn or name_of(path).startswith("figures/")


@pytest.mark.parametrize("path", [ROOT / "app.py", *sorted((ROOT / "pages").rglob("*.py"))], ids=lambda path: path.stem)
def test_pages_leave_the_work_to_core(path):
    assert not NOT_IN_PAGES & {module.split(".")[0] for module, _ in imports(path)}


def test_the_losses_can_be_taken_along_as_they_are():
    for path in (ROOT / "core" / "losses").rglob("*.py"):
        nodes = [node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.ImportFrom)]
        assert all(node.level < 2 for node in nodes)
        packages = {module.split(".")[0] for module, _ in imports(path) if not module.startswith("core.losses")}
        assert packages - {"torch"} <= set(sys.stdlib_module_names)


@pytest.mark.slow
def test_neither_the_command_line_nor_the_training_path_loads_the_dashboard():
    script = (
        "import sys, core.jobs.worker, core.cli.main; core.cli.main.make_app('train')\n"
        "dashboard = ('streamlit', 'plotly', 'altair', 'transformers')\n"
        "print([module for module in (*dashboard, 'pandas', 'torch') if module in sys.modules])\n"
        "core.cli.main.make_app()\n"
        "print([module for module in (*dashboard, 'torch') if module in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.split() == ["[]", "[]"]
    script = (
        "import sys, core.figures\n"
        "print('torch' in sys.modules)\n"
        "import torch, core.jobs.training\n"
        "from core.config.schema import TrainConfig\n"
        "network = torch.nn.Linear(2, 1)\n"
        "for kind in ('sgd', 'adamw'):\n"
        "    optimizer = core.trainer.optimizer.make_optimizer(network, TrainConfig(optimizer=kind))\n"
        "    optimizer.zero_grad()\n"
        "    network(torch.ones(1, 2)).sum().backward()\n"
        "    optimizer.step()\n"
        "    optimizer.load_state_dict(optimizer.state_dict())\n"
        "print('torch._dynamo' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True)
    pages, compiler = done.stdout.split()
    assert pages == "False", "every page but the loss page opens without torch"
    assert compiler == "False", "every run but a compiled one begins without torch's compiler"
