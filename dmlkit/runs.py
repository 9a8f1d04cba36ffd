"""The folder that one training leaves, and many of them as a table.

RUN/
  run.json          what was trained, on which data, with what, and how well; written last
  history.csv       a line an epoch
  model.keras       the model with the best GAP on the tuning part, or what was refitted then (not for ensembles)
  predictions.npz   ids, labels and scores of the validation part
  checkpoint.npz    only while training; that of refitting in refitting/
  checkpoints/      runs of some moments of this training, where its profile asks for them
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from dmlkit.errors import DataError, UsageError
from dmlkit.experiments import AnyExperiment, Experiment, Missing
from dmlkit.files import atomic_write
from dmlkit.predictions import Predictions
from dmlkit.run_record import COLUMNS, value_at, wrong_keys
from dmlkit.text import shorten

RECORD = "run.json"
WHILE_TRAINING = "checkpoint.npz"
CHECKPOINTS = "checkpoints"
# Names a file that takes the path of every run this process looks at, there or not, a line each: a report asks
# its notebooks so, to know what to execute again when a run changes.
ACCESS_LOG = "DMLKIT_RUNS_LOOKED_AT"
# So many damaged runs are named one by one.
WARNINGS = 5


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
        low, high = self.metrics["gap_interval"]
        return (
            f"Run({self.name}: GAP@20 {self.gap:.4f} [{low:.4f}, {high:.4f}] on "
            f"{self.metrics['videos']:,} videos of {self.record['data']['name']})"
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
    def metrics(self) -> dict:
        """GAP@20 with its interval, Hit@1, PERR, mAP on the validation part."""
        return self.record["metrics"]

    @property
    def gap(self) -> float:
        """GAP@20 on the validation part."""
        return self.record["metrics"]["gap"]

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
        DataError: The file is there and cannot be read, or is not the record of a run.
    """
    _note(path)
    try:
        record = json.loads((path / RECORD).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    # A file of a hundred thousand brackets is told by a RecursionError.
    except (OSError, ValueError, RecursionError) as error:
        why = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise _damaged(path, why) from error
    if wrong := wrong_keys(record):
        raise _damaged(path, wrong)
    return record


def _damaged(path: Path, why: str) -> DataError:
    return DataError(
        f"The record of this run cannot be read: {path / RECORD} ({why}). Delete the folder and train it again."
    )


def _note(path: Path) -> None:
    if ACCESS_LOG in os.environ:
        with open(os.environ[ACCESS_LOG], "a", encoding="utf-8") as file:
            file.write(f"{path.resolve()}\n")


def write_record(path: Path, record: Mapping) -> None:
    """Write `run.json`, whole or not at all: its presence says that the run is finished."""
    with atomic_write(path / RECORD) as temporary:
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


class RunListing(NamedTuple):
    """What lies below a folder: finished runs by path, and an error for each that cannot be read."""

    runs: list[Run]
    damaged: list[DataError]


def find_runs(folder: str | os.PathLike) -> RunListing:
    """Every finished run below a folder, itself among them, and what is wrong with the others.

    Folders whose name starts with a dot or ends in `.partial` are passed by: they hold what is not finished. So are the
    checkpoints within a run, which are moments of what is listed; they are listed where their own folder is named.
    """
    found, unseen = RunListing([], []), []
    for here, folders, files in os.walk(folder, onerror=unseen.append):
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".")
            and not name.endswith(".partial")
            and not (name == CHECKPOINTS and {RECORD, WHILE_TRAINING} & set(files))
        )
        if RECORD in files:
            try:
                found.runs.append(load_run(here))
            except DataError as error:
                found.damaged.append(error)
    found.damaged.extend(
        DataError(f"This folder cannot be looked into: {error.filename} ({error.strerror}).")
        for error in unseen
    )
    return found


def list_runs(folder: str | os.PathLike) -> list[Run]:
    """Every finished run below a folder, by path; a damaged one is a warning, not an end."""
    found = find_runs(folder)
    for line in summarize_errors(found.damaged):
        warnings.warn(line, stacklevel=2)
    return found.runs


def summarize_errors(damaged: Sequence[DataError]) -> list[str]:
    """A line for each run that cannot be read; where there are many, the last says how many more."""
    lines = [shorten(error, 500) for error in damaged[:WARNINGS]]
    if len(damaged) > WARNINGS:
        lines.append(f"{len(damaged) - WARNINGS:,} more cannot be read.")
    return lines


def load_runs(folder: str | os.PathLike) -> pd.DataFrame:
    """Every finished run below a folder as a table, a row a run, the highest GAP first.

    Those that cannot be read are left out and warned of. The columns: name, title, gap, gap_low, gap_high, map,
    hit_at_one, perr, tuning_gap, parameters, seconds, epochs, profile, seed, data, generated, videos, started,
    path.
    """
    found = find_runs(folder)
    for line in summarize_errors(found.damaged):
        warnings.warn(line, stacklevel=2)
    rows = [run_row(run) for run in found.runs]
    table = to_frame(rows, columns=[*COLUMNS, "path"])
    return table.sort_values("gap", ascending=False, ignore_index=True, kind="stable")


def to_frame(rows: Sequence[Mapping], *, columns: Sequence[str]) -> pd.DataFrame:
    """Rows as a table whose texts are Python's own.

    Where pyarrow is installed, pandas keeps texts in its arrays, which take no half of a surrogate pair; the name of
    a folder may hold one.
    """
    return pd.DataFrame(
        {
            column: pd.Series(values, dtype=object if any(isinstance(each, str) for each in values) else None)
            for column in columns
            for values in [[row.get(column) for row in rows]]
        }
    )


def run_row(run: Run) -> dict:
    """A run as a row of `load_runs`: column → plain value."""
    return {name: value_at(run.record, where) for name, where in COLUMNS.items()} | {"path": str(run.path)}


# Why a rung of the ladder has no run, where its own chapter has not been asked for.
ELSEWHERE = {"beyond": "the chapter 08-beyond trains it, with --beyond"}

ROW_COLUMNS = (
    "name", "title", "status", "reason", "gap", "gap_low", "gap_high", "map", "map_classes", "hit_at_one", "perr",
    "parameters", "training_seconds", "epochs", "seconds_an_epoch", "videos_per_second", "videos", "paper_gap",
    "experiment", "run",
)  # fmt: skip


def experiment_row(rung: AnyExperiment, run: Run | None, reason: str | None) -> dict:
    """A rung's row; what there is no run for is None.

    Args:
        rung: The rung.
        run: Its finished run, if there is one.
        reason: Why the data set cannot serve it, if it cannot.
    """
    if run is None:
        status = "missing" if isinstance(rung, Missing) else "not applicable" if reason else "not trained"
        metrics, record = {}, {}
    else:
        status, metrics, record = "trained", run.metrics, run.record
    low, high = metrics.get("gap_interval", (None, None))
    seconds, epochs = record.get("seconds", {}), record.get("epochs")
    # What was trained once more took its time too.
    trained = epochs and epochs + record.get("refit", {}).get("epochs", 0)
    return {
        "name": rung.name,
        "title": rung.title,
        "status": status,
        "reason": reason or (ELSEWHERE.get(rung.chapter) if run is None else None),
        "gap": metrics.get("gap"),
        "gap_low": low,
        "gap_high": high,
        "map": metrics.get("map"),
        "map_classes": metrics.get("map_classes"),
        "hit_at_one": metrics.get("hit_at_one"),
        "perr": metrics.get("perr"),
        "parameters": record.get("parameters"),
        "training_seconds": seconds.get("training"),
        "epochs": epochs,
        "seconds_an_epoch": _over(seconds.get("training"), trained),
        "videos_per_second": _over(metrics.get("videos"), seconds.get("scoring")),
        "videos": metrics.get("videos"),
        "paper_gap": rung.paper_gap,
        "experiment": None if isinstance(rung, Missing) else rung.to_record(),
        "run": None if run is None else run.path.name,
    }


def _over(amount: float | None, by: float | None) -> float | None:
    """A rate; None where either was not measured: an ensemble has no epochs, an older run no time of scoring."""
    return round(amount / by, 3) if amount is not None and by else None
