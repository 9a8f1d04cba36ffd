"""The folder of a run: whose it is, and how it is finished."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import keras

from dmlkit.errors import UsageError
from dmlkit.experiments import Experiment
from dmlkit.files import atomic_write
from dmlkit.metrics import GlobalAveragePrecision, RankingMetrics
from dmlkit.paths import default_runs
from dmlkit.predictions import Predictions
from dmlkit.profiles import Profile
from dmlkit.runs import Run, load_run, read_record, write_record
from dmlkit.training import checkpoint
from dmlkit.training.provenance import deciding, fingerprint, git_commit, hardware, version_of, versions

# Where a training that is done once more (`refitting`) has its checkpoint.
REFITTING = "refitting"


def training_fingerprint(
    experiment: Experiment,
    dataset,
    *,
    profile: Profile,
    seed: int,
    precision: str,
    deterministic: bool,
    teachers: Sequence[str] = (),
) -> str:
    """The fingerprint of a training: all that decides its result."""
    return fingerprint(
        experiment=deciding(experiment),
        profile=deciding(profile),
        data=dataset.fingerprint,
        seed=seed,
        precision=precision,
        deterministic=deterministic,
        version=version_of("dmlkit"),
        **({"teachers": list(teachers)} if teachers else {}),
    )


def default_run(dataset, experiment: Experiment, profile: Profile, mark: str) -> Path:
    """The folder of a run where nobody names one: that in which a report of these data would look for it."""
    return default_runs(dataset.path, profile.name) / f"{experiment.name}-{mark[:8]}"


def existing_run(folder: Path, *, mark: str, what: str) -> Run | None:
    """The finished run in a folder if it is the one that is asked for, None where there is none.

    Raises:
        UsageError: The folder holds another run, or is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(
            f"The run cannot be written to {folder}: a file stands there. Choose another folder."
        )
    record = read_record(folder)
    if record is None:
        return None
    if record["fingerprint"] != mark:
        raise UsageError(
            f"{folder} already holds another run ({record['experiment']['name']}, profile "
            f"{record['profile']['name']}, seed {record['seed']}, data {record['data']['name']}) than {what} as "
            "asked for now: another experiment, profile, seed, version or other data. Choose another folder, or "
            "delete this one."
        )
    return Run(folder, record)


def make_folder(folder: Path) -> None:
    """Make the folder of a run, with an error a reader understands where it cannot be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"The run's folder cannot be made: {folder} ({error.strerror}).") from error


def finish(folder: Path, record: dict, *, tuning: Predictions, validation: Predictions) -> Run:
    """Measure, write the scores, and the record last: from then on the run is finished."""
    tuning.save(folder / "tuning.npz")
    validation.save(folder / "predictions.npz")
    tuned, metrics = GlobalAveragePrecision(), RankingMetrics(validation.num_classes)
    for block in tuning.blocks():
        tuned.update(block.scores, block.labels)
    for block in validation.blocks():
        metrics.update(block.scores, block.labels)
    interval = metrics.gap_interval()
    record = record | {
        "tuning": {"gap": tuned.result()},
        "metrics": metrics.result() | {"gap_interval": [interval.low, interval.high]},
        "scores_kept": "all" if validation.kept is None else f"the highest {validation.kept} of each video",
        "versions": versions(),
        "git_commit": git_commit(),
        "hardware": hardware(),
    }
    write_record(folder, record)
    # With it goes what a killed training had begun to write (see `dmlkit.files`).
    for left in (folder / checkpoint.FILE, *folder.glob(".[0-9]*")):
        left.unlink(missing_ok=True)
    shutil.rmtree(folder / REFITTING, ignore_errors=True)
    return load_run(folder)


def save_model(model: keras.Model, path: Path) -> None:
    """Write the model without its optimiser, whole or not at all."""
    bare = keras.Model.from_config(model.get_config())
    bare.set_weights(model.get_weights())
    with atomic_write(path) as temporary:
        bare.save(temporary)


def write_history(folder: Path, history: list[dict]) -> None:
    """Write `history.csv`, a line an epoch."""
    lines = [",".join(history[0])] + [",".join(str(value) for value in row.values()) for row in history]
    (folder / "history.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
