"""What a report depends on, as digests, and what an earlier call left: whatever did not change is not made again.

Times of files decide nothing: a clock may jump, and a copy has times of its own. TensorFlow is never imported here.
"""

from __future__ import annotations

import errno
import functools
import hashlib
import importlib.metadata
import json
import os
import platform
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import dmlkit
from dmlkit.errors import UsageError
from dmlkit.files import atomic_write, file_lock
from dmlkit.report.parameters import as_text

WHOLE = 1 << 20  # bytes; larger files are sampled
BLOCK, BLOCKS = 4096, 16  # the last block holds the checksum of a TFRecord's last record
TEXT = {".toml", ".csv", ".json", ".txt"}  # read whole: they say what the records mean
MAX_TEXT = 1 << 22  # bytes
PACKAGES = ("dmlkit", "keras", "tensorflow", "numpy", "pandas")
STATE, LOCK = ".report.json", ".lock"
METADATA = "dmlkit_report"  # key of an executed notebook's metadata
RECORD = "run.json"  # as in `dmlkit.runs`, which would import pandas
# What belongs to a finished run beside its record. Checkpoints and locks come and go, and change nothing.
RUN_FILES = ("history.csv", "model.keras", "predictions.npz", "tuning.npz")
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


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


def data_digest(folder: str | os.PathLike, *, without: Path) -> str | None:
    """The digest of a folder of data, linked folders included: names, sizes, and contents of every file.

    Files of up to 1 MiB and texts of up to 4 MiB are read whole; of larger ones 16 blocks of 4 KiB, spread evenly. A
    change between the blocks of a file that keeps its size can escape; a reader of the records still notices, by
    their checksums.

    Args:
        folder: The folder.
        without: A folder whose files do not count: the report may lie among the data.

    Returns:
        None where the folder is missing or remote.
    """
    root = Path(folder)
    if "://" in os.fspath(folder) or not root.is_dir():
        return None
    return digest([_contents(path, root) for path in _files(root, without.resolve())])


def _files(root: Path, without: Path) -> Iterator[Path]:
    home = root.resolve()
    seen = {home, *home.parents, without}  # a link may lead back to where it lies
    for place, folders, names in os.walk(root, followlinks=True):
        here, entered = Path(place), []
        for name in sorted(folders):
            target = (here / name).resolve()
            if name[0] != "." and target not in seen:
                seen.add(target)
                entered.append(name)
        folders[:] = entered
        yield from (here / name for name in sorted(names) if name[0] != ".")


def _contents(path: Path, root: Path) -> list:
    name = os.fsencode(path.relative_to(root)).hex()
    try:
        size = path.stat().st_size
        with open(path, "rb") as file:
            if size <= (MAX_TEXT if path.suffix in TEXT else WHOLE):
                return [name, size, digest(file.read())]
            blocks = []
            for block in range(BLOCKS):
                file.seek(block * (size - BLOCK) // (BLOCKS - 1))
                blocks.append(file.read(BLOCK))
            return [name, size, digest(b"".join(blocks))]
    except OSError as error:  # opening the data set will report it
        return [name, error.errno]


@functools.cache
def versions() -> dict[str, str | None]:
    """Python and the packages that decide the numbers."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found


@functools.cache
def package_digest() -> str:
    """The digest of this package's files; the notebooks, which an installed package holds, count one by one."""
    root = Path(dmlkit.__file__).parent
    files = sorted(path.relative_to(root) for path in root.rglob("*") if path.is_file())
    return digest(
        [
            [path.as_posix(), file_digest(root / path)]
            for path in files
            if not {"__pycache__", "notebooks"} & set(path.parts)
        ]
    )


def inputs_of(source: str, values: Mapping[str, object], data: str) -> dict:
    """All that an execution starts from, part by part, so that a change can be named.

    Args:
        source: The digest of the notebook.
        values: Parameter → value.
        data: The digest of the data set.
    """
    software = {name: versions()[name] for name in ("python", "dmlkit", "keras", "tensorflow")}
    return {"notebook": source, "values": dict(values), "data": data} | {
        "software": software | {"files": package_digest()}
    }


def accessed_runs(access_log: Path, runs: Path) -> dict[str, str | None]:
    """The runs that a notebook looked at → their digests now.

    Args:
        access_log: Where the notebook's process noted them (`dmlkit.runs.ACCESS_LOG`).
        runs: The report's folder of runs, whose runs go by their names; others by their paths.
    """
    lines = access_log.read_text(encoding="utf-8").splitlines() if access_log.exists() else []
    home = runs.resolve()
    paths = sorted({Path(line) for line in lines})
    return run_digests((path.name if path.parent == home else str(path) for path in paths), runs)


def run_digests(names: Iterable[str], runs: Path) -> dict[str, str | None]:
    """Run → the digest of its record and of the sizes of its other files; None where there is no record."""
    digests: dict[str, str | None] = {}
    for name in names:
        record = file_digest(runs / name / RECORD)
        sizes = [_size(runs / name / file) for file in RUN_FILES]
        digests[name] = record and digest([record, sizes])
    return digests


def _size(file: Path) -> int | None:
    try:
        return file.stat().st_size
    except OSError:
        return None


def write_stamp(notebook: Path, stamp: Mapping) -> None:
    """Write into an executed notebook what it was made of.

    Args:
        notebook: The file.
        stamp: `inputs`, `runs`, `executed` and `seconds`.
    """
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
    """Why a notebook would be executed again; empty where nothing changed.

    Args:
        notebook: The executed notebook.
        inputs: What it would be made of now.
        runs: The report's folder of runs.
    """
    if not notebook.exists():
        return ["new"]
    stamp = read_stamp(notebook)
    if stamp is None:
        return ["it was not finished, or was altered since"]
    then, now = stamp["inputs"], json.loads(json.dumps(inputs))  # a file makes a list of a tuple
    found = ["its source changed"] * (then["notebook"] != now["notebook"])
    for name in {**now["values"], **then["values"]}:
        before, after = (values.get(name, ...) for values in (then["values"], now["values"]))
        if before != after:
            texts = ["its default" if value is ... else as_text(value) for value in (before, after)]
            found.append(f"the parameter {name} changed ({texts[0]} → {texts[1]})")
    found += ["the data changed"] * (then["data"] != now["data"])
    for name, after in now["software"].items():
        before = then["software"].get(name)
        if before != after:
            found.append(
                "dmlkit's files changed" if name == "files" else f"{name} changed ({before} → {after})"
            )
    for run, after in run_digests(stamp["runs"], runs).items():
        before = stamp["runs"][run]
        if before != after:
            what = "is gone" if after is None else "is there now" if before is None else "changed"
            found.append(f"the run {run} {what}")
    return found


class State:
    """The report's own record, `.report.json`: what the last call left, so that the next need not look again.

    Args:
        out: The folder of the report.
    """

    def __init__(self, out: Path):
        self.out = out
        self.data: dict = {}  # what is known of the data set, and the digests under which it holds
        self.files: dict = {}  # page → the digest of what it was made of, and its own
        self.call: dict = {}  # when the last call was that executed something, and how long it took
        self._written = None
        with suppress(OSError, ValueError, TypeError, LookupError):
            content = json.loads((out / STATE).read_text(encoding="utf-8"))
            parts = [content[name] for name in ("data", "files", "call")]
            if all(isinstance(part, dict) for part in parts):
                self.data, self.files, self.call = parts
                self._written = content

    def up_to_date(self, name: str, of: str) -> bool:
        """Whether a file of the report is as it was written, out of the same.

        Args:
            name: The file, in the report's folder.
            of: The digest of all that it is made of.
        """
        known = self.files.get(name)
        return known is not None and known == {"of": of, "file": file_digest(self.out / name)}

    def wrote(self, name: str, of: str) -> None:
        """Note that a file of the report was written."""
        self.files[name] = {"of": of, "file": file_digest(self.out / name)}

    def save(self) -> None:
        """Write the record, whole or not at all; nothing where it says the same already."""
        content = {"data": self.data, "files": self.files, "call": self.call}
        if content != self._written:
            with writing(self.out), atomic_write(self.out / STATE) as temporary:
                temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")
            self._written = json.loads(json.dumps(content))


@contextmanager
def locked_folder(out: Path) -> Iterator[None]:
    """Make the folder of a report, and hold it for one process at a time.

    Where the report comes to nothing, the folders that were made for it are removed again.

    Raises:
        UsageError: It cannot be made or written to, or another process makes a report in it.
    """

    def refuse(holder: str) -> None:
        raise UsageError(
            f"A report is being made in {out} by {holder}. Wait until it has ended, or name another folder with --out."
        )

    inner = (out / "notebooks", out / "runs")
    with ExitStack() as stack:
        try:
            made = [folder for folder in (out, *out.parents) if not folder.exists()]
            stack.push(lambda kind, *_: _remove(made) if kind else None)
            out.mkdir(parents=True, exist_ok=True)
            stack.enter_context(file_lock(out / LOCK, taken=refuse))
            made_within = [folder for folder in inner if not folder.exists()]
            stack.push(lambda kind, *_: _remove(made_within) if kind else None)
            for folder in inner:
                folder.mkdir(exist_ok=True)
            # What a killed report had begun to write.
            begun = [path for path in out.iterdir() if re.fullmatch(r"\.\d+\..+", path.name)]
            for path in [*begun, *(out / "notebooks").glob(".*")]:
                if path.is_file():
                    path.unlink()
        except OSError as error:
            raise UsageError(
                f"The report cannot be written to {out}: {error.strerror or error}. Name another folder with --out."
            ) from error
        yield


def _remove(folders: Iterable[Path]) -> None:
    """Remove folders if nothing but a lock that nobody holds is in them."""
    for folder in folders:
        with suppress(OSError):  # it holds something
            if [path.name for path in folder.iterdir()] == [LOCK]:
                (folder / LOCK).unlink()
            folder.rmdir()


@contextmanager
def writing(out: Path) -> Iterator[None]:
    """Around the writing of a report's files: a full disk is one paragraph.

    Raises:
        UsageError: Something could not be written.
    """
    try:
        yield
    except OSError as error:
        advice = "Make room." if error.errno in DISK_FULL else "Mend that."
        what = f" ({os.path.basename(error.filename)})" if error.filename else ""
        raise UsageError(
            f"The report in {out} could not be written: {error.strerror or error}{what}. What stood there before is "
            f"whole. {advice} The same command then continues where it stopped."
        ) from error


def check_same_data(out: Path, data: str | os.PathLike) -> None:
    """Hold a folder that nobody named against what is in it: two data sets' folders may have one name.

    Raises:
        UsageError: It holds the report of other data, which lie elsewhere.
    """
    former = State(out).data
    if former.get("path") in (None, os.path.abspath(data)):
        return
    if "://" not in os.fspath(data) and not os.path.exists(data):  # opening it will report that
        return
    found = data_digest(data, without=out)
    if found is None or found != former.get("digest"):  # the same data may have been moved
        raise UsageError(
            f"{out} holds the report of other data, {former['path']}, and would be overwritten with that of {data}. "
            "Name another folder with --out; this one too, if you mean it."
        )
