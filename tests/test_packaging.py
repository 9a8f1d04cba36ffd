"""What users install: one lock for make and conda, declared dependencies, a wheel that holds its notebooks."""

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


def names(requirements) -> set[str]:
    return {re.match(r"[A-Za-z0-9._-]+", each)[0].lower().replace("_", "-") for each in requirements}


def test_dependencies_are_declared_locked_and_free_of_addresses():
    declared = names(PROJECT["project"]["dependencies"])
    assert {"jupyterlab", "ipywidgets"} < declared
    assert declared | names(PROJECT["dependency-groups"]["dev"]) <= names(PINS)
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+", pin) for pin in PINS)


def test_conda_users_get_the_same_lock():
    text = (ROOT / "environment.yml").read_text()
    version = re.search(r"^\s+- python=(3\.1[123])$", text, re.MULTILINE)[1]
    assert PROJECT["project"]["requires-python"] == ">=3.11,<3.14"
    assert re.findall(r"^  - (\S+)", text, re.MULTILINE)[1:] == [f"python={version}", "pip", "pip:"]
    assert re.search(r"^\s+- pip:\n\s+- -r requirements\.txt\n\s+- -e \.$", text, re.MULTILINE)


def test_an_installed_wheel_finds_its_notebooks_styles_and_scripts(tmp_path):
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
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
    command = [sys.executable, "-c", code]
    printed = subprocess.check_output(command, cwd=tmp_path, env=environment, text=True)
    where, found = printed.splitlines()
    assert where.startswith(str(tmp_path)) and found.split() == notebooks


def test_without_a_supported_python_make_fails_with_one_line(tmp_path):
    for name in ("bash", "make", "sed", "rm", "echo", "touch"):
        found = next(folder / name for folder in (Path("/bin"), Path("/usr/bin")) if (folder / name).exists())
        (tmp_path / name).symlink_to(found)
    for name in ("Makefile", "requirements.txt", "pyproject.toml"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    make = ["/usr/bin/make", "-C", str(tmp_path), "venv"]
    done = subprocess.run(make, env={"PATH": str(tmp_path)}, capture_output=True, text=True)
    assert done.returncode != 0
    assert "dmlkit needs Python 3.11, 3.12 or 3.13 on the PATH" in done.stderr.splitlines()[0]
