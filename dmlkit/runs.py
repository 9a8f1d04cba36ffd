"""The folder that one training leaves, and many of them as a table.

RUN/
  run.json          what was trained, on which data, with what, and how well; written last
  history.csv       a line per epoch
  model.keras       the model of the best epoch by GAP on the tuning split, or its refit (not for ensembles)
  predictions.npz   ids, labels and scores of the validation split
  tuning.npz        the same of the tuning split
  projection.npz    the PCA of the features' extractor, where it has one
  checkpoint.npz    only while training; that of a refit in refitting/
  checkpoints/      runs of some epochs of this training, where its profile asks for them
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from pydantic import AliasPath, BaseModel, Field, FiniteFloat, ValidationError, model_validator

from dmlkit.errors import DataError, UsageError, html_card, readable, renamed, shorten
from dmlkit.experiments import AnyExperiment, Experiment
from dmlkit.files import atomic_write
from dmlkit.metrics import RankingMetrics, over_seeds
from dmlkit.plugins import check_plugins
from dmlkit.predictions import Predictions

RECORD = "run.json"
WHILE_TRAINING = "checkpoint.npz"
CHECKPOINTS = "checkpoints"
# Environment variable: the file to which the path of every run that is looked up is appended, so that a report
# executes a notebook again when one of its runs changes.
ACCESS_LOG = "DMLKIT_RUN_ACCESS_LOG"
WARNINGS = 5  # so many damaged runs are named one by one


def _at(*path: str | int):
    return Field(validation_alias=AliasPath(*path))


class _Member(BaseModel):  # of an ensemble
    name: str
    path: str
    fingerprint: str
    weight: FiniteFloat


class _Feature(BaseModel):  # a modality it was trained on
    size: int
    coding: str
    mean: FiniteFloat = 0.0  # of its values, but for texts
    deviation: FiniteFloat = 0.0


class _Data(BaseModel):  # it was trained on, which other data are compared with
    level: str
    features: dict[str, _Feature] = Field(min_length=1)
    num_classes: int
    class_names: list[str] | None  # null where the data have no vocabulary

    @model_validator(mode="after")
    def _check_names(self):
        if self.class_names is not None and len(self.class_names) != self.num_classes:
            raise ValueError("there is a name for each class")
        return self


class RunRow(BaseModel):
    """What a run's record must hold, and where, with the models above as parts; also the columns of `load_runs`."""

    kind: Literal["training", "ensemble"]
    fingerprint: str
    name: str = _at("experiment", "name")
    title: str = _at("experiment", "title")
    gap: FiniteFloat = _at("metrics", "gap")
    gap_low: FiniteFloat = _at("metrics", "gap_interval", 0)
    gap_high: FiniteFloat = _at("metrics", "gap_interval", 1)
    map: FiniteFloat = _at("metrics", "map")
    hit_at_one: FiniteFloat = _at("metrics", "hit_at_one")
    perr: FiniteFloat = _at("metrics", "perr")
    tuning_gap: FiniteFloat = _at("tuning", "gap")
    parameters: int
    seconds: FiniteFloat = _at("seconds", "training")
    epochs: int | None
    profile: str = _at("profile", "name")
    seed: int
    data: str = _at("data", "name")
    data_fingerprint: str = _at("data", "fingerprint")
    generated: bool = _at("data", "generated")
    trained_on: _Data = _at("data")
    videos: int = _at("metrics", "videos")
    started: str
    added: list[dict[str, str | None]] = []  # of a training: `plugins.added_parts`
    members: list[_Member] = []  # of an ensemble, as the two that follow
    by: str | None = None
    bias: FiniteFloat | None = None

    @model_validator(mode="after")
    def _check_ensemble(self):
        if self.kind == "ensemble" and (not self.members or self.by is None or self.bias is None):
            raise ValueError("an ensemble has members, by and bias")
        return self


# Columns of `load_runs`.
HIDDEN = ("kind", "fingerprint", "data_fingerprint", "trained_on", "added", "members", "by", "bias")
COLUMNS = [name for name in RunRow.model_fields if name not in HIDDEN]


class Run:
    """One finished run: the folder `path`, and the `record` that its `run.json` holds.

    `siblings` are the runs of the same experiment under further seeds where a `Study` has several.
    """

    def __init__(self, path: Path, record: dict):
        self.path = path
        self.record = record
        self.siblings: tuple[Run, ...] = ()

    def __repr__(self) -> str:
        return f"Run({shorten(self.name)}: GAP@20 {self._score()})"

    def _repr_html_(self) -> str:
        row = run_row(self)
        rows = {"GAP@20": self._score(), "mAP": f"{self.metrics['map']:.4f}"}
        rows |= {name: row[name] for name in ("profile", "seed", "parameters", "epochs", "started", "path")}
        return html_card(f"{self.title} ({self.name})", rows)

    def _score(self) -> str:
        low, high = self.metrics["gap_interval"]
        if "map_at_k" in self.metrics:
            pairs = "{rated:,} rated pairs of {segments:,} segments".format(**self.metrics)
            return (
                f"{self.gap:.4f} [{low:.4f}, {high:.4f}], mAP@K {self.metrics['map_at_k']:.4f} over {pairs}"
            )
        over = f"{self.metrics['videos']:,} videos of {shorten(self.record['data']['name'], 80)}"
        return f"{self.gap:.4f} [{low:.4f}, {high:.4f}] over {over}, for this seed"

    @property
    def name(self) -> str:
        """The experiment's name."""
        return self.record["experiment"]["name"]

    @property
    def title(self) -> str:
        """The experiment's title."""
        return self.record["experiment"]["title"]

    @property
    def experiment(self) -> Experiment:
        """What was trained; a `UsageError` where the run is an ensemble."""
        if self.record["kind"] != "training":
            raise UsageError(f"{self.path} is an ensemble: it has members, not an experiment.")
        return Experiment.from_record(self.record["experiment"])

    @property
    def class_names(self) -> list[str] | None:
        """The names of the classes it was trained on, in order; None where its data had no vocabulary."""
        return self.record["data"]["class_names"]

    @property
    def metrics(self) -> dict:
        """GAP@20 with its interval, Hit@1, PERR, mAP on the validation split.

        Of a run on segments they are over the rated pairs, and there is `map_at_k` with its interval.
        """
        return self.record["metrics"]

    @property
    def gap(self) -> float:
        """GAP@20 on the validation split."""
        return self.record["metrics"]["gap"]

    @property
    def tuning_gap(self) -> float:
        """GAP@20 on the tuning split: what weights this run in an ensemble."""
        return self.record["tuning"]["gap"]

    @cached_property
    def history(self) -> pd.DataFrame:
        """A row per epoch: loss, learning rate, GAP on the tuning split, seconds. Empty for ensembles."""
        file = self.path / "history.csv"
        try:
            return pd.read_csv(file) if file.exists() else pd.DataFrame()
        except (OSError, ValueError) as error:
            raise DataError(f"{file} cannot be read ({shorten(error, 200)}). Train the run again.") from error

    @cached_property
    def predictions(self) -> Predictions:
        """Ids, labels and scores of the validation split."""
        return Predictions.load(self.path / "predictions.npz")

    def per_class(self) -> pd.DataFrame:
        """Average precision of each class on the validation split, a row per class, from the stored predictions.

        The columns are those of `class_table`; the mean of `average_precision` is the run's mAP.
        """
        return class_table(self.predictions.measured(), self.class_names)

    @cached_property
    def model(self):
        """The trained keras model; a `DataError` where there is none (an ensemble) or it does not load."""
        from dmlkit.models import load_model

        file = self.path / "model.keras"
        if not file.exists():
            raise DataError(
                f"{self.path} holds no model.keras: {self.name} is an ensemble, whose members have the models, or its "
                "file was deleted. Name a run that was trained."
            )
        check_plugins(self.record.get("added", ()), run=self.path)
        return load_model(file)


class _Record(dict):
    """An object of a run's record; where it lacks a key that is asked for, the error names the record."""

    def __init__(self, values: Mapping, path: Path):
        super().__init__(values)
        self.path = path

    def __missing__(self, key: str):
        raise DataError(
            f"The record of this run has no {key!r}: {self.path}. Delete the folder and train it again."
        )


def read_record(path: Path) -> dict | None:
    """What `path/run.json` holds, None where there is no finished run; a `DataError` where it is no run's record."""
    if ACCESS_LOG in os.environ:
        with open(os.environ[ACCESS_LOG], "a", encoding="utf-8") as file:
            file.write(f"{path.resolve()}\n")
    try:
        text = (path / RECORD).read_text(encoding="utf-8")
        record = json.loads(text, object_hook=lambda values: _Record(values, path / RECORD))
        RunRow.model_validate(record, strict=True)
        return record
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValidationError as error:
        errors = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}".lstrip(": ") for each in error.errors()]
        more = f" and {len(errors) - 3} more" if len(errors) > 3 else ""
        reason = "; ".join(errors[:3]) + more
    except (OSError, ValueError, RecursionError) as error:  # deeply nested brackets recurse
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())
    raise DataError(
        f"The record of this run cannot be read: {path / RECORD} ({reason}). If path and rights are right, delete the "
        "folder and train it again."
    )


def write_record(path: Path, record: Mapping) -> None:
    """Write `run.json`, whole or not at all: its presence marks the run as finished."""
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


def as_run(run: Run | str | os.PathLike) -> Run:
    """The run itself, or that of a folder (`load_run`)."""
    return run if isinstance(run, Run) else load_run(run)


def shared_class_names(named: Iterable[tuple[object, Sequence[str] | None]]) -> Sequence[str] | None:
    """The class names of runs (or a data set) on the same records, given with their paths; None where none has any.

    Raises `UsageError` where they differ, as after a change of the vocabulary between two trainings.
    """
    first = names = None
    for path, others in named:
        if difference := renamed(names, others):
            raise UsageError(
                f"{first} and {path} have the same records under other class names: from the one to the other, "
                f"{difference}. Restore the vocabulary, or train with the new one."
            )
        first, names = (first, names) if names else (path, others)
    return names


def find_runs(folder: str | os.PathLike) -> tuple[list[Run], list[DataError]]:
    """Every finished run below a folder, itself among them, by path, and an error for each that cannot be read.

    Skips folders of unfinished work, whose names start with a dot or end in `.partial`, and the checkpoints within a
    run, which are listed where their own folder is named.
    """
    runs, damaged = [], []

    def unreadable(error: OSError) -> None:
        damaged.append(DataError(f"This folder cannot be read: {error.filename} ({error.strerror})."))

    for here, folders, files in os.walk(folder, onerror=unreadable):
        if {RECORD, WHILE_TRAINING} & set(files):
            folders[:] = [name for name in folders if name != CHECKPOINTS]
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and not name.endswith(".partial")
        )
        if RECORD in files:
            try:
                runs.append(load_run(here))
            except DataError as error:
                damaged.append(error)
    return runs, damaged


def list_runs(folder: str | os.PathLike, *, stacklevel: int = 2) -> list[Run]:
    """Every finished run below a folder, by path; a damaged one is a warning, not an error."""
    runs, damaged = find_runs(folder)
    for line in summarize_errors(damaged):
        warnings.warn(line, stacklevel=stacklevel)
    return runs


def summarize_errors(damaged: Sequence[DataError]) -> list[str]:
    """A line for each run that cannot be read; where there are many, the last line counts the rest."""
    lines = [shorten(error, 500) for error in damaged[:WARNINGS]]
    rest = len(damaged) - len(lines)
    return [*lines, f"{rest:,} more cannot be read."] if rest else lines


def load_runs(folder: str | os.PathLike) -> pd.DataFrame:
    """Every finished run below a folder as a table, a row per run, the highest GAP first.

    Those that cannot be read are left out with a warning. The columns: name, title, gap, gap_low, gap_high, map,
    hit_at_one, perr, tuning_gap, parameters, seconds, epochs, profile, seed, data, generated, videos, started,
    path.
    """
    table = to_frame([run_row(run) for run in list_runs(folder, stacklevel=3)], columns=[*COLUMNS, "path"])
    return table.sort_values("gap", ascending=False, ignore_index=True, kind="stable")


def run_row(run: Run) -> dict:
    """A run as a row of `load_runs`: column → plain value."""
    return RunRow.model_validate(run.record).model_dump(include=set(COLUMNS)) | {"path": str(run.path)}


def class_table(metrics: RankingMetrics, names: Sequence[str] | None) -> pd.DataFrame:
    """A row a class: class (its number), name, videos (that have it), average_precision (NaN where none has it)."""
    precision, videos = metrics.by_class()
    names = readable(names or [""] * len(videos))
    columns = {"class": range(len(videos)), "name": pd.Series(names, dtype=object), "videos": videos}
    return pd.DataFrame(columns | {"average_precision": precision})


def to_frame(rows: Sequence[Mapping], *, columns: Sequence[str]) -> pd.DataFrame:
    """Rows as a table whose texts are Python's own: Arrow's do not take the unpaired surrogates of names of folders."""
    table = {}
    for column in columns:
        values = [row.get(column) for row in rows]
        has_text = any(isinstance(each, str) for each in values)
        table[column] = pd.Series(values, dtype=object if has_text else None)
    return pd.DataFrame(table)


ROW_COLUMNS = (
    "name", "title", "status", "reason", "gap", "gap_low", "gap_high", "map", "map_classes", "hit_at_one", "perr",
    "parameters", "epochs", "seconds_an_epoch", "videos", "paper_gap", "experiment", "run",
)  # fmt: skip
# Of several seeds: the lowest and highest GAP, and how many there are.
SEED_COLUMNS = ("gap_min", "gap_max", "seeds")
MEANS = ("gap", "map", "hit_at_one", "perr", "seconds_an_epoch")


def experiment_row(experiment: AnyExperiment, run: Run | None, reason: str | None) -> dict:
    """An experiment as a row of `results.json` and of the notebooks' tables; None where there is no run.

    `reason` is why the data set cannot serve it, if it cannot. With `siblings`, metrics and times are means over the
    seeds, and the interval is over videos and seeds.
    """
    status = "trained" if run else "not applicable" if reason else "not trained"
    if status == "not trained" and experiment.chapter == "beyond":
        reason = "the notebook 08-beyond trains it, with --beyond"
    row = {
        "name": experiment.name,
        "title": experiment.title,
        "status": status,
        "reason": reason,
        "paper_gap": experiment.paper_gap,
        "experiment": experiment.to_record(),
    }
    if run:
        # Without the first epoch, which compiles.
        warm = run.history["seconds"][1:] if "seconds" in run.history else ()
        seconds = round(float(np.median(warm)), 3) if len(warm) > 2 else None
        row = run_row(run) | run.metrics | row | {"seconds_an_epoch": seconds, "run": run.path.name}
    if not (run and run.siblings):
        return {column: row.get(column) for column in ROW_COLUMNS}
    rows = [row, *(experiment_row(experiment, each, reason) for each in run.siblings)]
    gaps = [each["gap"] for each in rows]
    # A seed's interval is 3.92 deviations wide over videos; nearly all of that the seeds have in common.
    variance = np.mean([((each["gap_high"] - each["gap_low"]) / 3.92) ** 2 for each in rows])
    low, high = over_seeds([gaps], variance, videos=row["videos"])
    values = {name: [each[name] for each in rows] for name in MEANS}
    row |= {name: float(np.mean(each)) for name, each in values.items() if None not in each}
    row |= {"gap_low": max(low, 0.0), "gap_high": min(high, 1.0)}
    row |= {"gap_min": min(gaps), "gap_max": max(gaps), "seeds": len(gaps)}
    return {column: row.get(column) for column in (*ROW_COLUMNS, *SEED_COLUMNS)}
