"""The structure: one-way imports without cycles, heavy libraries where they belong, a closed public face."""

import ast
import re
import subprocess
import sys
import tomllib
from graphlib import TopologicalSorter
from itertools import chain
from pathlib import Path
from pkgutil import resolve_name

import pytest

import dmlkit

PACKAGE = Path(dmlkit.__file__).parent
ROOT = Path(__file__).resolve().parents[1]
FILES = [path for path in sorted(PACKAGE.rglob("*.py")) if "notebooks" not in path.relative_to(PACKAGE).parts]

# Each line may import from the lines below it, and within a package from its siblings.
LAYERS = [
    {"cli"},
    {"report"},
    {"explorer"},
    {"plots"},
    {"training", "comparison"},
    {"extraction"},
    {"runs", "submission", "segment_submission"},
    {"predictions"},
    {"data", "models", "metrics", "experiments", "profiles"},
    {"paths", "files", "runtime", "plugins"},
    {"errors"},
]
LAYER = {name: depth for depth, names in enumerate(LAYERS) for name in names}
SAME_LAYER = {
    ("profiles", "experiments"),
    ("experiments", "profiles"),
    ("files", "runtime"),
    ("data", "metrics"),
    ("segment_submission", "submission"),
}

# Where a heavy library may be imported at all.
HEAVY = {
    "tensorflow": {"data", "training", "runtime", "extraction"},
    "keras": {"models", "training", "extraction"},
    "av": {"extraction"},
    "onnxruntime": {"extraction", "training"},
    "pandas": {"data", "runs", "comparison", "training", "plots", "explorer", "report", "cli"},
    "matplotlib": {"plots", "report"},
    "papermill": {"report"},
    "anywidget": {"explorer"},
    "ipywidgets": {"explorer"},
}

# Import name → package, where they differ.
PACKAGE_OF = {
    "google": "protobuf",
    "bs4": "beautifulsoup4",
    "sklearn": "scikit-learn",
    "PIL": "pillow",
    "yaml": "pyyaml",
    "zmq": "pyzmq",
}

PUBLIC = [
    "open_dataset", "synthesize", "Experiment", "Ensemble", "LADDER", "EXPERIMENTS", "build_model", "train", "evaluate",
    "predict", "export", "ensemble", "compare", "load_run", "load_runs", "load_model", "attention_weights", "explore",
    "explore_arrays", "Study", "PROFILES", "Profile", "global_average_precision", "GlobalAveragePrecision",
    "mean_average_precision", "gap_interval", "gap_weights", "weighted_average", "DataError", "UsageError",
]  # fmt: skip


def module_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> set[str]:
    """Every module a file imports: at its top, within a function, or for type checkers only."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import hides where a name comes from"
            found.add(node.module)
            found |= {
                f"{node.module}.{alias.name}" for alias in node.names if node.module.startswith("dmlkit")
            }
    return found


MODULES = {module_of(path): path for path in FILES}
IMPORTS = {module: imports(path) for module, path in MODULES.items()}


def area(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def test_imports_run_from_one_layer_to_the_layers_below_it():
    assert {area(module) for module in MODULES} - {""} == set(LAYER)
    wrong = [
        f"{module} imports {name}"
        for module, names in IMPORTS.items()
        for name in names & MODULES.keys()
        if (ours := area(module)) and (theirs := area(name)) and ours != theirs
        if LAYER[ours] >= LAYER[theirs] and (ours, theirs) not in SAME_LAYER
    ]
    assert not wrong


def test_no_import_cycle_not_even_a_lazy_one():
    graph = {}
    for module, names in IMPORTS.items():
        if module == "dmlkit" or module.endswith(".__main__"):  # nothing imports the latter
            continue
        graph[module] = names & MODULES.keys() - {module, "dmlkit"}
        if module != (package := module.rpartition(".")[0]) and package in MODULES and package != "dmlkit":
            assert package not in graph[module], f"{module} imports its own package: name the module instead"
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the cycle


def test_heavy_libraries_stay_where_they_belong():
    wrong = [
        f"{module} imports {name}"
        for module, names in IMPORTS.items()
        for name in {each.split(".")[0] for each in names} & HEAVY.keys()
        if area(module) not in HEAVY[name]
    ]
    assert not wrong


def test_imported_packages_are_declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    listed = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]
    declared = {re.match(r"[A-Za-z0-9._-]+", each)[0].lower() for each in listed}
    imported = {name.split(".")[0] for names in IMPORTS.values() for name in names}
    ours = imported - sys.stdlib_module_names - {"dmlkit"}
    assert {PACKAGE_OF.get(name, name).lower().replace("_", "-") for name in ours} <= declared


def test_what_benchmarks_import_of_ours_is_there():
    for path in (ROOT / "tests" / "benchmarks").glob("*.py"):
        for name in imports(path):
            assert not name.startswith("dmlkit") or resolve_name(name)


def test_the_public_face_is_closed_and_documented():
    packages = {area(module) for module in MODULES if module.count(".") == 1}
    offered = {name for name in dir(dmlkit) if not name.startswith("_")}
    assert set(PUBLIC) <= offered
    assert offered - set(PUBLIC) <= packages
    for name in PUBLIC:
        value = getattr(dmlkit, name)
        assert isinstance(value, dict) or value.__doc__, f"{name} has no docstring"
    with pytest.raises(AttributeError, match="nothing_of_ours"):
        _ = dmlkit.nothing_of_ours


def test_metrics_and_the_report_parent_load_no_tensorflow():
    code = (
        "import sys, numpy as np, dmlkit, dmlkit.cli, dmlkit.report, dmlkit.data, dmlkit.training.study\n"
        "import dmlkit.extraction\n"
        "gap = dmlkit.global_average_precision(np.array([[.9, .1]]), np.array([[1, 0]]))\n"
        "dmlkit.weighted_average([np.ones((1, 2))], dmlkit.gap_weights([gap]))\n"
        "print(gap, sorted({'tensorflow', 'keras', 'matplotlib', 'av', 'onnxruntime'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split(maxsplit=1) == ["1.0", "[]\n"]
