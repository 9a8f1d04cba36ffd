"""What a run's record says of where it came from: versions, machine, source, data."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import importlib.metadata
import json
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path

import keras

from dmlkit.experiments import Experiment
from dmlkit.profiles import Profile
from dmlkit.runtime import cores, threads

PACKAGES = ("dmlkit", "keras", "tensorflow", "numpy", "pandas")

# Fields of an experiment or a profile that the first runs did not know. At their default they change nothing, so they
# are left out of a fingerprint there: a run that was trained before them is still the one that is asked for.
LATER = ("trick", "teachers", "cycles", "checkpoints", "frame_share", "ridge", "after_tuning")


def fingerprint(**values) -> str:
    """Sixteen hexadecimal digits that are the same for the same plain values, and differ for others."""
    text = json.dumps(values, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def deciding(value: Experiment | Profile) -> dict:
    """The plain values of an experiment or a profile that tell it from others, for a `fingerprint`."""
    defaults = {field.name: field.default for field in dataclasses.fields(value)}
    return {
        name: plain
        for name, plain in value.to_record().items()
        if name not in LATER or getattr(value, name) != defaults[name]
    }


def versions() -> dict[str, str]:
    """Python and the packages that decide the numbers."""
    return {"python": platform.python_version()} | {name: version_of(name) for name in PACKAGES}


@functools.cache
def version_of(package: str) -> str:
    """The installed version; looked up once, since every fingerprint asks for ours."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed as a package"


def hardware() -> dict:
    """The processor, the cores and threads this process may use, and what Keras computes on."""
    return {
        "processor": _processor(),
        "cores": cores(),
        "threads": threads(),
        "devices": keras.distribution.list_devices(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def git_commit() -> str | None:
    """The commit of the checkout this package runs from, marked where files differ from it, else None."""
    folder = Path(__file__).resolve().parents[2]
    if not (folder / ".git").exists():
        return None
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        return commit + (" and changes" if _git(folder, "status", "--porcelain", "dmlkit") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True, timeout=10
    )
    return done.stdout.strip()


def describe_data(dataset, *, videos: Mapping[str, int]) -> dict:
    """What data it was: enough to tell whether two runs may be compared.

    Args:
        dataset: The data set.
        videos: Part → videos read of it.
    """
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
