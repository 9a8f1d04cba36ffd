"""Default folders of data, runs and reports, the same for every command and notebook, whatever the working folder.

Home is the folder that `DMLKIT_HOME` names, else the checkout that holds this package, else the current folder. A path
that is given is relative to the current folder, as usual.

  HOME/data/generated        the generated data set
  HOME/reports/NAME/runs     the runs of the report called NAME
"""

from __future__ import annotations

import os
import posixpath
from pathlib import Path

SETTING = "DMLKIT_HOME"


def home() -> Path:
    """The folder that holds data and reports."""
    if named := os.environ.get(SETTING):
        return Path(os.path.realpath(os.path.expanduser(named)))
    checkout = Path(__file__).resolve().parents[1]
    if (checkout / "pyproject.toml").is_file() and (checkout / "notebooks").is_dir():
        return checkout
    return Path.cwd()


def generated_data() -> Path:
    """The folder of the generated data set."""
    return home() / "data" / "generated"


def reports() -> Path:
    """The folder of the reports."""
    return home() / "reports"


def is_remote(path: str | os.PathLike) -> bool:
    """Whether a path is an address (`gs://...`), which TensorFlow opens and pathlib would mangle."""
    return "://" in os.fspath(path)


def report_name(data: str | os.PathLike | None, profile: str) -> str:
    """The name of the report of these data and this profile."""
    if data is None:
        return profile
    text = os.path.expanduser(os.fspath(data))
    if is_remote(text):
        return f"{posixpath.basename(text.rstrip('/'))}-{profile}"
    is_generated = os.path.realpath(text) == os.path.realpath(generated_data())
    return profile if is_generated else f"{os.path.basename(os.path.abspath(text))}-{profile}"


def default_runs(data: str | os.PathLike | None, profile: str) -> Path:
    """The folder of the runs of that report."""
    return reports() / report_name(data, profile) / "runs"
