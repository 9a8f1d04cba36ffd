"""Default folders of data, runs and reports, the same whatever the working folder.

Home is the folder that `DMLKIT_HOME` names, else the checkout that holds this package, else the current folder.

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
        return Path(named).expanduser().resolve()
    checkout = Path(__file__).resolve().parents[1]
    if (checkout / "pyproject.toml").is_file() and (checkout / "notebooks").is_dir():
        return checkout
    return Path.cwd()


def generated_data() -> Path:
    """The folder of the generated data set."""
    return home() / "data" / "generated"


def report_name(data: str | os.PathLike | None, profile: str) -> str:
    """The name of the report of these data and this profile."""
    if data is None:
        return profile
    text = os.fspath(data)
    if "://" in text:
        return f"{posixpath.basename(text.rstrip('/'))}-{profile}"
    folder = Path(os.path.abspath(text))
    return profile if folder.resolve() == generated_data().resolve() else f"{folder.name}-{profile}"


def default_runs(data: str | os.PathLike | None, profile: str) -> Path:
    """The folder of the runs of that report."""
    return home() / "reports" / report_name(data, profile) / "runs"
