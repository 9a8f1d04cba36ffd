"""The set-up: one lock for make and conda, no index addresses, the packages of the card, a whole wheel."""

import ast
import importlib
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PINS = [
    line.split(";")[0].strip()
    for line in (ROOT / "requirements.txt").read_text().splitlines()
    if line.strip() and not line.startswith("#")
]
CARD = {"jupyterlab", "keras", "tensorflow", "pandas", "matplotlib", "papermill", "ipywidgets"}


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def name_of(requirement: str) -> str:
    return re.match(r"[A-Za-z0-9._-]+", requirement)[0].lower().replace("_", "-")


def test_every_line_of_the_lock_is_a_pin_and_none_is_an_address():
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+", pin) for pin in PINS)
    assert "://" not in (ROOT / "requirements.txt").read_text()


def test_the_lock_holds_every_dependency_of_the_project():
    declared = project()["project"]["dependencies"] + project()["dependency-groups"]["dev"]
    assert {name_of(requirement) for requirement in declared} <= {name_of(pin) for pin in PINS}


def test_whatever_is_imported_is_declared():
    called = {
        "bs4": "beautifulsoup4",
        "IPython": "ipython",
        "jupyter_client": "jupyter-client",
        "jupyter_core": "jupyter-core",
        "google": "protobuf",
        "google_crc32c": "google-crc32c",
        "yaml": "pyyaml",
        "zmq": "pyzmq",
    }
    imported = set()
    for path in (ROOT / "dmlkit").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(node.module.split(".")[0])
    needed = {called.get(name, name) for name in imported - sys.stdlib_module_names - {"dmlkit"}}
    assert needed <= {name_of(requirement) for requirement in project()["project"]["dependencies"]}


@pytest.mark.parametrize(
    "path", sorted((ROOT / "tests" / "benchmarks").glob("*.py")), ids=lambda path: path.stem
)
def test_what_a_benchmark_imports_of_ours_is_there(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module.startswith("dmlkit"):
            module = importlib.import_module(node.module)
            assert all(hasattr(module, alias.name) for alias in node.names), node.module


def test_the_packages_of_the_card_are_dependencies():
    assert {name_of(requirement) for requirement in project()["project"]["dependencies"]} >= CARD


def test_conda_users_get_the_same_lock_and_a_python_we_serve():
    text = (ROOT / "environment.yml").read_text()
    assert re.search(r"^\s+- pip:\n\s+- -r requirements\.txt\n\s+- -e \.$", text, re.MULTILINE)
    version = re.search(r"^\s+- python=(\d+\.\d+)$", text, re.MULTILINE)[1]
    assert version in ("3.11", "3.12", "3.13")
    assert project()["project"]["requires-python"] == ">=3.11,<3.14"
    # Nothing but python and pip comes from conda: what is pinned twice falls out of step.
    assert re.findall(r"^  - (\S+)", text, re.MULTILINE)[1:] == [f"python={version}", "pip", "pip:"]


@pytest.fixture(scope="session")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)],
        check=True,
        capture_output=True,
    )
    return next(folder.glob("*.whl"))


def test_the_wheel_holds_package_notebooks_style_and_licence(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    notebooks = {f"dmlkit/notebooks/{path.name}" for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert notebooks and notebooks <= names
    assert {"dmlkit/cli/__init__.py", "dmlkit/plots/dmlkit.mplstyle"} <= names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not any(name.startswith("tests/") for name in names)


def test_a_wheel_installed_elsewhere_finds_its_notebooks(wheel, tmp_path):
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    code = (
        "import dmlkit, dmlkit.report\n"
        "print(dmlkit.__file__)\n"
        "print(*sorted(path.name for path in dmlkit.report.notebooks_folder().glob('0*.ipynb')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={
            "PYTHONPATH": str(tmp_path / "site"),
            "PATH": "",
            "HOME": str(tmp_path),
            "TF_CPP_MIN_LOG_LEVEL": "3",
        },
        capture_output=True,
        text=True,
        check=True,
    )
    where, names = done.stdout.splitlines()
    assert where.startswith(str(tmp_path))
    assert names.split() == sorted(path.name for path in (ROOT / "notebooks").glob("0*.ipynb"))


def test_without_a_python_we_serve_make_says_so_in_one_line(tmp_path):
    for name in ("bash", "make", "sed", "rm", "echo", "touch"):
        target = Path("/bin") / name if (Path("/bin") / name).exists() else Path("/usr/bin") / name
        (tmp_path / name).symlink_to(target)
    (tmp_path / "Makefile").write_text((ROOT / "Makefile").read_text())
    (tmp_path / "requirements.txt").write_text("")
    (tmp_path / "pyproject.toml").write_text("")
    done = subprocess.run(
        ["/usr/bin/make", "-C", str(tmp_path), "venv"],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert (
        done.stderr.splitlines()[0]
        == "dmlkit needs Python 3.11, 3.12 or 3.13 on the PATH, and none was found."
    )
