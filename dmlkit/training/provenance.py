"""What identifies a training, before any of it runs: its settings, their fingerprint, the machine and the source.

Nothing here loads TensorFlow at import: a report plans its trainings by these fingerprints.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
import platform
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from dmlkit.errors import UsageError
from dmlkit.experiments import ALGORITHM_2, Ensemble, Experiment, find
from dmlkit.paths import default_runs
from dmlkit.profiles import Profile
from dmlkit.runtime import cores, threads

PACKAGES = ("dmlkit", "keras", "tensorflow", "numpy", "pandas")


def as_experiment(experiment: str | Experiment) -> Experiment:
    """The experiment of this name, or the experiment itself."""
    experiment = find(experiment) if isinstance(experiment, str) else experiment
    if isinstance(experiment, Ensemble):
        raise UsageError(
            f"{experiment.name} is an ensemble of {', '.join(experiment.members)}: train those, then use "
            "`dmlkit ensemble`."
        )
    return experiment


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
) -> str:
    """The fingerprint of a training: everything that decides its result, its teachers' fingerprints among it."""
    return fingerprint(
        experiment=experiment.to_record(),
        profile=profile.to_record(),
        data=dataset.fingerprint,
        seed=seed,
        precision=precision,
        deterministic=deterministic,
        teachers=list(teachers),
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


def versions() -> dict[str, str]:
    """Python and the packages that decide the numbers."""
    return {"python": platform.python_version()} | {name: version_of(name) for name in PACKAGES}


@functools.cache
def version_of(package: str) -> str:
    """The installed version of a package."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed as a package"


def hardware() -> dict:
    """The processor, the cores and threads this process may use, and the devices Keras computes on."""
    import keras

    return {
        "processor": _processor(),
        "cores": cores(),
        "threads": threads(),
        "devices": keras.distribution.list_devices(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def git_commit() -> str | None:
    """The commit of the checkout this package runs from, with a note where files differ from it; else None."""
    folder = Path(__file__).resolve().parents[2]
    if not (folder / ".git").exists():
        return None

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(folder), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + (" and changes" if git("status", "--porcelain", "dmlkit") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def describe_data(dataset, *, videos: Mapping[str, int]) -> dict:
    """What data it was and how many videos of each split were read: whether two runs may be compared."""
    return {
        "name": dataset.name,
        "fingerprint": dataset.fingerprint,
        "level": dataset.level,
        "features": {name: feature.size for name, feature in dataset.features.items()},
        "num_classes": dataset.num_classes,
        "generated": dataset.generated,
        "videos": dict(videos),
        "notes": list(dataset.notes),
    }
