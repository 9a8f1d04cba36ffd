"""The rooms and their one-way doors, held by reading the imports."""

import ast
from pathlib import Path

import pytest

import dmlkit

PACKAGE = Path(dmlkit.__file__).parent

# What each room may import of ours; these few are open to all.
OPEN = {"errors", "interrupts", "locks", "places", "printable", "quiet", "writing"}
DOORS = {
    **{name: set() for name in OPEN},
    "data": set(),
    "models": set(),
    "evaluation": set(),
    "experiments": set(),
    "profiles": set(),
    "archives": set(),
    "predictions": {"archives"},
    "submission": {"data", "evaluation"},
    "comparison": {"evaluation", "predictions", "runs"},
    "run_record": set(),
    "runs": {"experiments", "predictions", "models", "data", "evaluation", "run_record"},
    "training": {
        "archives",
        "data",
        "models",
        "evaluation",
        "experiments",
        "profiles",
        "predictions",
        "runs",
        "submission",
    },
    "plots": {"data", "models", "evaluation", "experiments", "profiles", "predictions", "runs", "training"},
    "explorer": {"data", "models", "evaluation", "experiments", "profiles", "predictions", "runs", "plots"},
    "report": {"data", "evaluation", "experiments", "explorer", "profiles", "runs", "training", "plots"},
    "cli": {
        "comparison",
        "data",
        "evaluation",
        "experiments",
        "profiles",
        "runs",
        "submission",
        "training",
        "report",
    },
}

# Who may see the heavy libraries, a room or a folder within one; everybody else sees none of them.
HEAVY = {
    "tensorflow": {"data", "training/workers"},
    "keras": {"models", "training"},
    "pandas": {"runs", "training", "plots", "explorer", "report"},
    "matplotlib": {"plots", "report"},
    "papermill": {"report"},
    "ipywidgets": {"explorer"},
}


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    """Every module a file imports, at its top or within a function."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: a relative import hides the room it comes from"
            found.add(node.module)
            found |= {f"dmlkit.{alias.name}" for alias in node.names if node.module == "dmlkit"}
    return found


FILES = [
    path
    for path in sorted(PACKAGE.rglob("*.py"))
    if room(path) not in ("__init__", "notebooks") and "__pycache__" not in path.parts
]


def test_the_rooms_are_those_of_the_picture():
    assert {room(path) for path in FILES} == set(DOORS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_one_way(path):
    ours = {name.split(".")[1] for name in imports(path) if name.startswith("dmlkit.")}
    allowed = DOORS[room(path)] | {room(path)} | OPEN
    assert ours <= allowed, f"{room(path)} may import {sorted(allowed)}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_heavy_libraries_stay_in_their_rooms(path):
    for name in {module.split(".")[0] for module in imports(path)} & set(HEAVY):
        within = path.parent.relative_to(PACKAGE).as_posix()
        assert {room(path), within} & HEAVY[name], f"{name} belongs to {sorted(HEAVY[name])}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_files_are_of_a_length_one_can_read(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 300
