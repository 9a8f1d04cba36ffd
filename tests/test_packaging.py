"""What a stranger installs: one lock for make and conda, declared dependencies, a wheel that holds its notebooks."""

import ast
import importlib
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PINS = [
    line.split(";")[0].strip()
    for line in (ROOT / "requirements.txt").read_text().splitlines()
    if line.strip() and not line.startswith("#")
]
GIVEN = {"jupyterlab", "keras", "tensorflow", "pandas", "matplotlib", "papermill", "ipywidgets"}
# Import name → package, where they differ.
PACKAGE_OF = {
    "google": "protobuf",
    "IPython": "ipython",
    "bs4": "beautifulsoup4",
    "google_crc32c": "google-crc32c",
    "jupyter_client": "jupyter-client",
    "jupyter_core": "jupyter-core",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
    "zmq": "pyzmq",
}


def names(requirements) -> set[str]:
    return {re.match(r"[A-Za-z0-9._-]+", each)[0].lower().replace("_", "-") for each in requirements}


def test_dependencies_are_declared_locked_and_free_of_addresses():
    declared = names(PROJECT["project"]["dependencies"])
    assert declared >= GIVEN
    assert declared | names(PROJECT["dependency-groups"]["dev"]) <= names(PINS)
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+", pin) for pin in PINS)
    imported = set()
    for path in (ROOT / "dmlkit").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(node.module.split(".")[0])
    ours = {PACKAGE_OF.get(name, name) for name in imported - sys.stdlib_module_names - {"dmlkit"}}
    assert ours <= declared


def test_conda_users_get_the_same_lock():
    text = (ROOT / "environment.yml").read_text()
    version = re.search(r"^\s+- python=(3\.1[123])$", text, re.MULTILINE)[1]
    assert PROJECT["project"]["requires-python"] == ">=3.11,<3.14"
    assert re.findall(r"^  - (\S+)", text, re.MULTILINE)[1:] == [f"python={version}", "pip", "pip:"]
    assert re.search(r"^\s+- pip:\n\s+- -r requirements\.txt\n\s+- -e \.$", text, re.MULTILINE)


def test_what_benchmarks_import_of_ours_is_there():
    for path in (ROOT / "tests" / "benchmarks").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module.startswith("dmlkit"):
                module = importlib.import_module(node.module)
                missing = [alias.name for alias in node.names if not hasattr(module, alias.name)]
                assert not missing, f"{path.name}: {node.module} has no {missing}"


def test_an_installed_wheel_finds_its_notebooks_styles_and_scripts(tmp_path):
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)],
        check=True,
        capture_output=True,
    )
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        held = set(wheel.namelist())
        wheel.extractall(tmp_path / "site")
    notebooks = sorted(path.name for path in (ROOT / "notebooks").glob("*.ipynb"))
    assert {f"dmlkit/notebooks/{name}" for name in notebooks} <= held
    tracked = {path.relative_to(ROOT).as_posix() for path in (ROOT / "dmlkit").rglob("*.*")}
    assert {name for name in tracked if name.endswith((".js", ".css", ".j2", ".mplstyle"))} <= held
    assert any(name.endswith("licenses/LICENSE") for name in held)
    assert not any(name.startswith("tests/") for name in held)
    code = (
        "import dmlkit, dmlkit.report\nprint(dmlkit.__file__)\n"
        "print(*sorted(path.name for path in dmlkit.report.notebooks_folder().glob('*.ipynb')))"
    )
    environment = {"PYTHONPATH": str(tmp_path / "site"), "PATH": "", "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    where, found = done.stdout.splitlines()
    assert where.startswith(str(tmp_path)) and found.split() == notebooks


def test_without_a_python_we_serve_make_says_so_in_one_line(tmp_path):
    for name in ("bash", "make", "sed", "rm", "echo", "touch"):
        found = next(folder / name for folder in (Path("/bin"), Path("/usr/bin")) if (folder / name).exists())
        (tmp_path / name).symlink_to(found)
    for name in ("Makefile", "requirements.txt", "pyproject.toml"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    done = subprocess.run(
        ["/usr/bin/make", "-C", str(tmp_path), "venv"],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert "dmlkit needs Python 3.11, 3.12 or 3.13 on the PATH" in done.stderr.splitlines()[0]
