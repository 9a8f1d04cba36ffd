"""A training's fingerprint, its checkpoint, its snapshots, and the run it writes.

RUN/checkpoint.npz          where a killed training resumes: every variable, the position in the data, the best weights
RUN/refitting/              the checkpoint of a refit
RUN/checkpoints/EPOCH/      snapshots of one training: weights.npz while it runs, then each a run of its own
RUN/run.json                written last: from then on the run is finished

Nothing here loads TensorFlow or Keras at import: ensembles are runs too, and a report plans by fingerprints.
"""

from __future__ import annotations

import hashlib
import json
import platform
import posixpath
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dmlkit.data import Skipped, scale_of
from dmlkit.data.storage import read_bytes
from dmlkit.errors import DataError, UsageError
from dmlkit.experiments import ALGORITHM_2, Experiment
from dmlkit.files import UnreadableError, atomic_write, read_arrays, write_arrays
from dmlkit.metrics import GlobalAveragePrecision, gap_interval_of_pairs
from dmlkit.paths import default_runs
from dmlkit.plugins import added_parts
from dmlkit.predictions import Predictions
from dmlkit.profiles import Profile
from dmlkit.runs import CHECKPOINTS, WHILE_TRAINING, Run, find_runs, load_run, read_record, write_record
from dmlkit.runtime import cores, threads, version_of, versions
from dmlkit.training.segments import by_video, precision_of, with_interval

REFITTING = "refitting"
WEIGHTS = "weights.npz"

# --- Fingerprints ---


def fingerprint(**values) -> str:
    """Sixteen hexadecimal digits, the same for the same plain values and different for others."""
    text = json.dumps(values, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def training_fingerprint(
    experiment: Experiment,
    dataset,
    *,
    profile: Profile,
    seed: int,
    precision: str,
    deterministic: bool,
    teachers: Sequence[str] = (),
    start_from: str | None = None,
) -> str:
    """The fingerprint of a training: everything that decides its result, other runs' fingerprints among it."""
    added = [part["digest"] for part in added_parts(experiment)]
    return fingerprint(
        experiment=experiment.to_record() | ({"added": added} if added else {}),
        profile=profile.to_record(),
        data=dataset.fingerprint,
        class_names=dataset.class_names if dataset.named else None,
        seed=seed,
        precision=precision,
        deterministic=deterministic,
        teachers=list(teachers),
        **({} if start_from is None else {"start_from": start_from}),
        version=version_of("dmlkit"),
    )


def ensemble_fingerprint(name: str, members: Sequence[str], *, by: str = ALGORITHM_2) -> str:
    """The fingerprint of an ensemble: its name, its members' fingerprints in their order, and the combiner."""
    return fingerprint(ensemble=name, members=list(members), by=by, version=version_of("dmlkit"))


def snapshot_fingerprints(training: str, count: int) -> list[str]:
    """The fingerprints of the snapshots that the training of this fingerprint leaves, known before it runs."""
    return [fingerprint(checkpoint_of=training, place=place) for place in range(count)]


def default_run(dataset, experiment, profile: Profile, fingerprint: str) -> Path:
    """The folder of a run where none is given: below the runs of the report of these data and this profile."""
    return default_runs(dataset.path, profile.name) / f"{experiment.name}-{fingerprint[:8]}"


# --- The checkpoint ---


@dataclass
class TrainingState:
    """How far a training has come; with the learner's and the optimizer's variables, all the next step depends on."""

    fingerprint: str
    epoch: int = 0  # epochs done
    batches: int = 0  # of the epoch under way
    loss: float = 0.0  # the mean over these batches
    seconds: float = 0.0
    history: list[dict] = field(default_factory=list)
    best_score: float = -1.0  # on the tuning split: GAP, of segments mAP@K
    best_epoch: int = 0  # counted from 1; 0 before the first
    best_weights: list[np.ndarray] = field(default_factory=list)
    metrics: list[np.ndarray] = field(default_factory=list)  # running means after `batches`
    workers: int = 1  # among which the epoch under way is divided
    skipped: Skipped = field(default_factory=Skipped)

    def save(self, folder: Path, learner) -> None:
        """Write the checkpoint, whole or not at all."""
        # `fit` keeps the running means in the model; the loop of several replicas keeps them here.
        metrics = (learner.metrics_variables or self.metrics) if self.batches else []
        groups = {"variable": _variables(learner), "best": self.best_weights, "metric": metrics}
        arrays = {f"{name}_{i}": np.asarray(v) for name, group in groups.items() for i, v in enumerate(group)}
        plain = {name: v for name, v in vars(self).items() if name not in ("best_weights", "metrics")}
        values = plain | {"skipped": self.skipped.to_rows()}
        write_arrays(folder / WHILE_TRAINING, arrays | {"state": np.array(json.dumps(values))})

    @classmethod
    def restore(
        cls, folder: Path, learner, *, fingerprint: str, workers: int, skipped: Skipped
    ) -> TrainingState:
        """The checkpoint's state and variables; a fresh state where none of this training is there or readable."""
        fresh = cls(fingerprint, workers=workers, skipped=skipped)
        variables = _variables(learner)
        try:
            arrays = read_arrays(folder / WHILE_TRAINING)
            values = json.loads(str(arrays["state"]))
        except (UnreadableError, KeyError, ValueError):
            return fresh
        if values["fingerprint"] != fingerprint or f"variable_{len(variables) - 1}" not in arrays:
            return fresh
        if values["batches"] and values["workers"] != workers:
            raise UsageError(
                f"The checkpoint in {folder} lies within an epoch that {values['workers']} workers had divided among "
                f"them, and now there are {workers}. Resume with {values['workers']}, or delete {WHILE_TRAINING} to "
                "start again."
            )
        for variable, value in zip(variables, _numbered(arrays, "variable"), strict=True):
            variable.assign(value)
        skipped.add_rows(values.pop("skipped"))
        arrays = {"best_weights": _numbered(arrays, "best"), "metrics": _numbered(arrays, "metric")}
        return cls(**values | arrays | {"workers": workers, "skipped": skipped})


def _variables(learner) -> list:
    """Weights, dropout seeds and the optimizer's moments."""
    return [*learner.variables, *learner.optimizer.variables]


def _numbered(arrays: Mapping[str, np.ndarray], name: str) -> list[np.ndarray]:
    return [arrays[f"{name}_{i}"] for i in range(sum(each.startswith(f"{name}_") for each in arrays))]


# --- The run's folder ---


def existing_run(folder: Path, *, fingerprint: str, name: str) -> Run | None:
    """The finished run in a folder if it is the one asked for, None where there is none."""
    record = read_record(folder)
    if record is None:
        return None
    if record["fingerprint"] != fingerprint:
        raise UsageError(
            f"{folder} already holds another run than {name} as asked for now: {record['experiment']['name']}, profile "
            f"{record['profile']['name']}, seed {record['seed']}, data {record['data']['name']}, or other "
            "class names, settings, parts or version. Choose another folder, or delete this one."
        )
    return Run(folder, record)


def make_folder(folder: Path) -> None:
    """Make a folder; a `UsageError` where it cannot be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"The folder {folder} cannot be made ({error.strerror}). Choose another.") from error


def finish_run(
    folder: Path, record: dict, tuning: Predictions, validation: Predictions, model=None, files=None
) -> Run:
    """Write model and predictions, measure them, and write the record last: from then on the run is finished.

    `files` are others that belong to it: name → content.
    """
    for name, content in (files or {}).items():
        with atomic_write(folder / name) as temporary:
            temporary.write_bytes(content)
    if model is not None:
        plain = type(model).from_config(model.get_config())  # without the optimizer
        plain.set_weights(model.get_weights())
        with atomic_write(folder / "model.keras") as temporary:
            plain.save(temporary)
    tuning.save(folder / "tuning.npz")
    validation.save(folder / "predictions.npz")
    tuning_gap, metrics = GlobalAveragePrecision(), validation.measured()
    for block in tuning.blocks():
        tuning_gap.update(block.scores, block.labels)
    on_segments = record["data"].get("unit") == "segment"
    pairs = by_video(metrics.pairs(), validation.ids) if on_segments else metrics.pairs()
    of_segments = [{}, {}]
    if on_segments:
        of_segments = [with_interval(precision_of(each.blocks())) for each in (tuning, validation)]
    record = record | {
        "tuning": {"gap": tuning_gap.result()} | of_segments[0],
        "metrics": metrics.result() | {"gap_interval": list(gap_interval_of_pairs(pairs))} | of_segments[1],
        "scores_kept": "all" if validation.kept is None else f"the highest {validation.kept} of each video",
        "versions": versions(),
        "git_commit": git_commit(),
        "hardware": hardware(),
    }
    write_record(folder, record)
    # With it goes what a killed training had begun to write, and what workers have handed to the chief.
    for pattern in (WHILE_TRAINING, ".[0-9]*", f"{CHECKPOINTS}/*/{WEIGHTS}"):
        for leftover in folder.glob(pattern):
            leftover.unlink(missing_ok=True)
    shutil.rmtree(folder / REFITTING, ignore_errors=True)
    return load_run(folder)


def describe_data(dataset, *, videos: Mapping[str, int], sample: Mapping | None = None) -> dict:
    """The data of a run, the number of videos read of each split, and the scale of a batch of them.

    Class names are null where the data have no vocabulary, the extractor where it is not known.
    """
    features = {name: {"size": f.size, "coding": f.coding} for name, f in dataset.features.items()}
    for name, each in dataset.features.items() if sample else ():
        if each.in_frames:
            features[name] |= dict(zip(("mean", "deviation"), scale_of(sample, name), strict=True))
    return {
        "name": dataset.name + " (segments)" * (dataset.unit == "segment"),
        "fingerprint": dataset.fingerprint,
        "level": dataset.level,
        "unit": dataset.unit,
        "features": features,
        "num_classes": dataset.num_classes,
        "class_names": list(dataset.class_names) if dataset.named else None,
        "generated": dataset.generated,
        "extractor": dataset.extractor,
        "videos": dict(videos),
        "notes": list(dataset.notes),
    }


def read_projection(dataset) -> dict[str, bytes]:
    """Name and content of the file of the extractor's projection, where it has one: a run keeps it to read clips."""
    name = (dataset.extractor or {}).get("projection")
    return {name: read_bytes(posixpath.join(dataset.path, name))} if name else {}


def hardware() -> dict:
    """The processor, the cores and threads this process may use, and the devices Keras computes on."""
    import keras

    found = None
    with suppress(OSError):
        found = re.search(r"^model name\s*: (.+)", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return {
        "processor": found[1] if found else platform.processor() or platform.machine(),
        "cores": cores(),
        "threads": threads(),
        "devices": keras.distribution.list_devices(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def git_commit() -> str | None:
    """The commit of the checkout this package runs from, with a note where files differ from it; else None."""
    folder = Path(__file__).resolve().parents[2]
    if not (folder / ".git").exists():
        return None
    options = ["--always", "--exclude=*", "--abbrev=40", "--dirty= and changes"]
    command = ["git", "-C", folder, "describe", *options]
    with suppress(OSError, subprocess.SubprocessError):
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    return None


# --- Snapshots: models of several epochs of one training, an ensemble at the price of one training ---
# Huang et al., Snapshot Ensembles (2017), where the learning rate is cyclic; plain last epochs elsewhere.
# Differs from the paper, which has one model of each training.


def snapshot_epochs(profile: Profile, *, epochs: int) -> tuple[int, ...]:
    """The epochs whose models are kept, of a training that has done so many."""
    possible = [epoch for epoch in profile.moments if epoch <= epochs]
    return tuple(possible[-profile.checkpoints :]) if profile.checkpoints else ()


def save_snapshot(folder: Path, weights: Sequence[np.ndarray], profile: Profile, *, epoch: int) -> None:
    """Keep the weights after an epoch (counted from 1) where it is a snapshot's; delete those no longer needed."""
    kept = snapshot_epochs(profile, epochs=epoch)
    if epoch in kept:
        here = folder / CHECKPOINTS / str(epoch)
        make_folder(here)
        write_arrays(here / WEIGHTS, {f"weight_{i}": value for i, value in enumerate(weights)})
    for each in (folder / CHECKPOINTS).glob("[0-9]*"):
        if int(each.name) not in kept:
            shutil.rmtree(each)


def read_snapshot(folder: Path, epoch: int) -> list[np.ndarray]:
    """The weights that `save_snapshot` kept."""
    return _numbered(read_arrays(folder / CHECKPOINTS / str(epoch) / WEIGHTS), "weight")


def snapshot_records(record: dict, profile: Profile, *, history: Sequence[Mapping]) -> list[dict]:
    """The records of the snapshots that a training left, from its own record and history."""
    experiment, training, records = record["experiment"], record["fingerprint"], []
    epochs = snapshot_epochs(profile, epochs=record["epochs"])
    for epoch, own in zip(epochs, snapshot_fingerprints(training, len(epochs)), strict=True):
        name, title = f"{experiment['name']}-epoch-{epoch}", f"{experiment['title']}, epoch {epoch}"
        seconds = sum(row["seconds"] for row in history[:epoch])  # snapshots share one training
        described = {"experiment": experiment | {"name": name, "title": title, "paper_gap": None}}
        described |= {"fingerprint": own, "checkpoint_of": training, "epochs": epoch, "best_epoch": epoch}
        records.append(record | described | {"seconds": {"training": round(seconds, 3)}})
    return records


def snapshots_of(run: Run) -> list[Run]:
    """The snapshots that one training left, the earliest first; none where its profile asks for none."""
    if not (wanted := run.record["profile"].get("checkpoints", 0)):
        return []
    found, _ = find_runs(run.path / CHECKPOINTS)
    snapshots = [each for each in found if each.record.get("checkpoint_of") == run.record["fingerprint"]]
    if len(snapshots) != wanted:
        raise DataError(
            f"{run.path} should hold {wanted} snapshots, and {len(snapshots)} can be read in its folder {CHECKPOINTS}. "
            "Delete the run and train it again."
        )
    return sorted(snapshots, key=lambda each: each.record["epochs"])
