"""The inputs of a report as digests, and the state of the last call: only what changed is made again.

Modification times are not used: clocks change, and copies have other times.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import dmlkit
from dmlkit.data.opening import open_dataset
from dmlkit.errors import UsageError
from dmlkit.files import atomic_write, file_lock
from dmlkit.plugins import loaded_plugins
from dmlkit.report.parameters import as_text
from dmlkit.runtime import versions

METADATA = "dmlkit_report"  # key of an executed notebook's metadata
# What belongs to a finished run, in addition to its record. Checkpoints and locks come and go.
RUN_FILES = ("history.csv", "model.keras", "predictions.npz", "tuning.npz")


def digest(value: object) -> str:
    """The digest of a plain value, or of bytes."""
    if not isinstance(value, bytes):
        value = json.dumps(value, sort_keys=True, ensure_ascii=False).encode("utf-8", "surrogatepass")
    return hashlib.sha256(value).hexdigest()


def file_digest(path: Path) -> str | None:
    """The digest of a file's bytes; None where it is missing."""
    try:
        return digest(path.read_bytes())
    except OSError:
        return None


def data_digest(dataset) -> str:
    """The digest of a data set: what decides the fingerprint of a run on it, the names of its classes among that."""
    return digest([dataset.fingerprint, dataset.class_names if dataset.named else None])


def software() -> dict[str, str]:
    """Python, the packages that decide the numbers, this package to the byte, and the plugins that are loaded."""
    plugins = {f"plugin {name}": digest for name, digest in loaded_plugins().items()}
    return versions() | plugins | {"files": _package_digest()}


@functools.cache
def _package_digest() -> str:
    """The digest of the package's files; the notebooks count one by one."""
    root = Path(dmlkit.__file__).parent
    files = sorted(path.relative_to(root) for path in root.rglob("*") if path.is_file())
    counted = [path for path in files if not {"__pycache__", "notebooks"} & set(path.parts)]
    return digest([[path.as_posix(), file_digest(root / path)] for path in counted])


def accessed_runs(access_log: Path, runs: Path) -> dict[str, str | None]:
    """The runs that a notebook read → their digests now."""
    lines = access_log.read_text(encoding="utf-8").splitlines() if access_log.exists() else []
    paths = sorted(map(Path, set(lines)))
    return run_digests((path.name if path.parent == runs.resolve() else str(path) for path in paths), runs)


def run_digests(names: Iterable[str], runs: Path) -> dict[str, str | None]:
    """Run → the digest of its record and of the sizes of its other files; None where there is no record."""
    digests: dict[str, str | None] = {}
    for name in names:
        files = [runs / name / file for file in RUN_FILES]
        record = file_digest(runs / name / "run.json")
        digests[name] = record and digest([record, [file.exists() and file.stat().st_size for file in files]])
    return digests


def write_stamp(notebook: Path, stamp: Mapping) -> None:
    """Write into an executed notebook what it was made of."""
    content = json.loads(notebook.read_text(encoding="utf-8"))
    content["metadata"].pop(METADATA, None)
    content["metadata"][METADATA] = dict(stamp) | {"content": digest(content)}
    text = json.dumps(content, ensure_ascii=False, indent=1, sort_keys=True)
    with atomic_write(notebook) as temporary:
        # Half a surrogate pair, which a notebook may print, as JSON writes it.
        temporary.write_bytes(f"{text}\n".encode("utf-8", errors="backslashreplace"))


def read_stamp(notebook: Path) -> dict | None:
    """What `write_stamp` wrote; None where the notebook is missing, bears no stamp, or was altered since."""
    try:
        content = json.loads(notebook.read_text(encoding="utf-8"))
        stamp = content["metadata"].pop(METADATA)
        return stamp if stamp["content"] == digest(content) else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def changes(notebook: Path, inputs: Mapping, runs: Path) -> list[str]:
    """Why a notebook would be executed again; empty where nothing changed."""
    if not notebook.exists():
        return ["new"]
    if (stamp := read_stamp(notebook)) is None:
        return ["it was not finished, or was altered since"]
    then, now = stamp["inputs"], json.loads(json.dumps(inputs))  # a file makes a list of a tuple
    found = [f"the {name} changed" for name in ("source", "data") if then[name] != now[name]]
    for what, name in (("values", "the parameter {}"), ("software", "{}")):
        for key in {**now[what], **then[what]}:
            before, after = (each[what].get(key, "its default") for each in (then, now))
            if before != after:
                was = f" ({as_text(before)} → {as_text(after)})" * (key != "files")
                found.append(f"{name.format(key)} changed{was}".replace("files", "dmlkit's files"))
    for run, after in run_digests(stamp["runs"], runs).items():
        before = stamp["runs"][run]
        if before != after:
            what = "is gone" if after is None else "is there now" if before is None else "changed"
            found.append(f"the run {run} {what}")
    return found


class State:
    """The report's record of the last call, `.report.json`, for the next one."""

    def __init__(self, out: Path):
        self.out, self.file = out, out / ".report.json"
        self.data: dict = {}  # what is known of the data set, and the digests under which it holds
        self.files: dict = {}  # page → the digest of what it was made of, and its own
        self.call: dict = {}  # when the last call was that executed something, and how long it took
        with suppress(OSError, ValueError, TypeError, LookupError):
            record = json.loads(self.file.read_text(encoding="utf-8"))
            self.data, self.files, self.call = (dict(record[name]) for name in ("data", "files", "call"))

    def up_to_date(self, name: str, of: str) -> bool:
        """Whether a file of the report is as it was written, out of the same."""
        return self.files.get(name) == {"of": of, "file": file_digest(self.out / name)}

    def write(self, name: str, text: str, of: str) -> None:
        """Write a file of the report, whole or not at all."""
        with writing(self.out), atomic_write(self.out / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
        self.files[name] = {"of": of, "file": file_digest(self.out / name)}

    def save(self) -> None:
        """Write the record, whole or not at all; nothing where it is the same already."""
        text = json.dumps({"data": self.data, "files": self.files, "call": self.call}, indent=1)
        if file_digest(self.file) != digest(text.encode()):
            with writing(self.out), atomic_write(self.file) as temporary:
                temporary.write_text(text, encoding="utf-8")


@contextmanager
def locked_folder(out: Path) -> Iterator[None]:
    """Make the folder of a report, and lock it for one process at a time."""

    def refuse(holder: str) -> None:
        message = "Wait for its end, or name another folder with --out."
        raise UsageError(f"A report is being made in {out} by {holder}. {message}")

    with writing(out):
        for folder in (out / "notebooks", out / "runs"):
            folder.mkdir(parents=True, exist_ok=True)
        (out / ".lock").touch()
    with file_lock(out / ".lock", taken=refuse):
        # Partial files of a killed report.
        for path in [*out.iterdir(), *(out / "notebooks").iterdir()]:
            if re.fullmatch(r"\.\d+\..+", path.name):
                path.unlink()
        yield


@contextmanager
def writing(out: Path) -> Iterator[None]:
    """Around the writing of a report's files: a full disk or an impossible folder is a UsageError."""
    try:
        yield
    except OSError as error:
        raise UsageError(
            f"The report cannot be written to {out}: {error.strerror or error}. What stood there before is whole. Make "
            "room, and the same command continues where it stopped; or name another folder with --out."
        ) from error


def check_same_data(out: Path, data: str | os.PathLike) -> None:
    """Refuse a default folder that holds the report of other data: two data sets' folders may have one name."""
    former = State(out).data
    if former.get("path") in (None, os.path.abspath(data)):
        return
    if data_digest(open_dataset(data)) != former["digest"]:  # the same data may have been moved
        raise UsageError(
            f"{out} holds the report of other data, {former['path']}, and would be overwritten with that of {data}. "
            "Name another folder with --out; this one too, if you mean it."
        )
