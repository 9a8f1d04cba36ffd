"""The folder that one training leaves, and many of them as a table.

RUN/
  run.json          what was trained, on which data, with what, and how well; written last
  history.csv       a line an epoch
  model.keras       the model with the best GAP on the tuning part (not for ensembles)
  predictions.npz   ids, labels and scores of the validation part
  checkpoint.npz    only while training
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import pandas as pd

from dmlkit.errors import DataError, UsageError
from dmlkit.experiments import Experiment
from dmlkit.predictions import Predictions
from dmlkit.writing import put_in_place

RECORD = "run.json"
# Names a file that takes the path of every run this process looks at, there or not, a line each: a report asks
# its notebooks so, to know what to execute again when a run changes.
LOOKED_AT = "DMLKIT_RUNS_LOOKED_AT"


class Run:
    """One finished run, read from its folder.

    Args:
        path: The folder.
        record: What `run.json` holds.
    """

    def __init__(self, path: Path, record: dict):
        self.path = path
        self.record = record

    def __repr__(self) -> str:
        low, high = self.measures["gap_interval"]
        return (
            f"Run({self.name}: GAP@20 {self.gap:.4f} [{low:.4f}, {high:.4f}] on "
            f"{self.measures['videos']:,} videos of {self.record['data']['name']})"
        )

    @property
    def name(self) -> str:
        """The experiment's name."""
        return self.record["experiment"]["name"]

    @property
    def title(self) -> str:
        """The experiment's name for people."""
        return self.record["experiment"]["title"]

    @property
    def experiment(self) -> Experiment:
        """What was trained.

        Raises:
            UsageError: The run is an ensemble: nothing was trained.
        """
        if self.record["kind"] != "training":
            raise UsageError(f"{self.path} is an ensemble: it has members, not an experiment.")
        return Experiment.from_record(self.record["experiment"])

    @property
    def measures(self) -> dict:
        """GAP@20 with its interval, Hit@1, PERR, mAP on the validation part."""
        return self.record["measures"]

    @property
    def gap(self) -> float:
        """GAP@20 on the validation part."""
        return self.record["measures"]["gap"]

    @property
    def tuning_gap(self) -> float:
        """GAP@20 on the tuning part: what weighs this run in an ensemble."""
        return self.record["tuning"]["gap"]

    @cached_property
    def history(self) -> pd.DataFrame:
        """A row an epoch: loss, learning rate, GAP on the tuning part, seconds. Empty for ensembles."""
        file = self.path / "history.csv"
        return pd.read_csv(file) if file.exists() else pd.DataFrame()

    @cached_property
    def predictions(self) -> Predictions:
        """Ids, labels and scores of the validation part."""
        return Predictions.load(self.path / "predictions.npz")

    @cached_property
    def model(self):
        """The trained keras model.

        Raises:
            DataError: The run has none (an ensemble), or it does not load.
        """
        from dmlkit.models import load_model

        file = self.path / "model.keras"
        if not file.exists():
            raise DataError(
                f"{self.path} holds no model.keras: {self.name} is an ensemble or was not finished."
            )
        return load_model(file)


def read_record(path: Path) -> dict | None:
    """What `path/run.json` holds, or None where there is no finished run.

    Raises:
        DataError: The file is there and cannot be read.
    """
    _note(path)
    try:
        return json.loads((path / RECORD).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise DataError(
            f"The record of this run cannot be read: {path / RECORD} ({error}). Delete the folder and train it again."
        ) from error


def _note(path: Path) -> None:
    if LOOKED_AT in os.environ:
        with open(os.environ[LOOKED_AT], "a", encoding="utf-8") as file:
            file.write(f"{path.resolve()}\n")


def write_record(path: Path, record: Mapping) -> None:
    """Write `run.json`, whole or not at all: its presence says that the run is finished."""
    with put_in_place(path / RECORD) as temporary:
        temporary.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def load_run(path: str | os.PathLike) -> Run:
    """Open the folder of one run.

    Raises:
        DataError: There is no finished run, or its record is damaged.
    """
    path = Path(path)
    record = read_record(path)
    if record is None:
        raise DataError(f"There is no finished run at {path}: no {RECORD}. Train one with `dmlkit train`.")
    return Run(path, record)


def list_runs(folder: str | os.PathLike) -> list[Run]:
    """Every finished run below a folder, by path; a damaged one is a warning, not an end."""
    runs = []
    for file in sorted(Path(folder).glob(f"**/{RECORD}")):
        try:
            runs.append(load_run(file.parent))
        except DataError as error:
            warnings.warn(str(error), stacklevel=2)
    return runs


def load_runs(folder: str | os.PathLike) -> pd.DataFrame:
    """Every finished run below a folder as a table, a row a run, the highest GAP first.

    The columns: name, title, gap, gap_low, gap_high, map, hit_at_one, perr, tuning_gap, parameters,
    seconds, epochs, profile, seed, data, generated, videos, started, path.
    """
    rows = [_row(run) for run in list_runs(folder)]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return table.sort_values("gap", ascending=False, ignore_index=True)


def _row(run: Run) -> dict:
    return {name: read(run.record) for name, read in COLUMNS.items()} | {"path": str(run.path)}


COLUMNS = {
    "name": lambda record: record["experiment"]["name"],
    "title": lambda record: record["experiment"]["title"],
    "gap": lambda record: record["measures"]["gap"],
    "gap_low": lambda record: record["measures"]["gap_interval"][0],
    "gap_high": lambda record: record["measures"]["gap_interval"][1],
    "map": lambda record: record["measures"]["map"],
    "hit_at_one": lambda record: record["measures"]["hit_at_one"],
    "perr": lambda record: record["measures"]["perr"],
    "tuning_gap": lambda record: record["tuning"]["gap"],
    "parameters": lambda record: record["parameters"],
    "seconds": lambda record: record["seconds"]["training"],
    "epochs": lambda record: record.get("epochs"),
    "profile": lambda record: record["profile"]["name"],
    "seed": lambda record: record["seed"],
    "data": lambda record: record["data"]["name"],
    "generated": lambda record: record["data"]["generated"],
    "videos": lambda record: record["measures"]["videos"],
    "started": lambda record: record["started"],
    "path": lambda record: None,
}
