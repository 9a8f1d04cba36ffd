"""From sources to a folder that is a data set: it appears whole, or not at all."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from dmlkit.data.importing.classes import FILE as VOCABULARY
from dmlkit.data.importing.classes import Classes, gathered, read_classes, vocabulary
from dmlkit.data.importing.coder import MISSING, Coder
from dmlkit.data.importing.imported import Choice
from dmlkit.data.importing.importer import Importer
from dmlkit.data.importing.label_table import LabelTable, read_labels
from dmlkit.data.importing.parts import SHARES, read_shares
from dmlkit.data.importing.readers import read_sources
from dmlkit.data.importing.shards import ShardWriter, writes
from dmlkit.data.opening import divide_splits
from dmlkit.data.records import is_remote
from dmlkit.data.schema import LEVELS, NUMERIC_CODINGS, SPLITS
from dmlkit.errors import DataError, UsageError, choose
from dmlkit.text import one_line

RECORDS_PER_SHARD = 256


@dataclass(frozen=True)
class Import:
    """What an import left.

    Attributes:
        folder: The data set.
        videos: Part → how many videos, in the order of training.
        notes: What was done to the videos, one sentence each.
    """

    folder: Path
    videos: dict[str, int]
    notes: tuple[str, ...]


def import_features(
    sources: str | os.PathLike | Sequence[str | os.PathLike],
    out: str | os.PathLike,
    *,
    labels: str | os.PathLike | None = None,
    classes: str | os.PathLike | None = None,
    num_classes: int | None = None,
    name: str | None = None,
    split: str = SHARES,
    level: str | None = None,
    coding: str | None = None,
    modalities: Sequence[str] | None = None,
    missing: str = "refuse",
    frames_apart: int = 2,
    records_per_shard: int = RECORDS_PER_SHARD,
    progress: bool = False,
) -> Import:
    """Make a data set in YouTube-8M's layout of features computed elsewhere; `dmlkit.data.importing` says of which.

    Videos are read one after another; what grows with their number is the set of their ids.

    Args:
        sources: Files and folders of features.
        out: The folder to make; it appears when it is finished.
        labels: A CSV with the columns `id` and any of `labels` (numbers, or names parted by semicolons), `split` and
            `text` (a title, keywords), which is a modality. Its labels go before those in the sources.
        classes: The names of the classes: a vocabulary's table, or one name a line. None: names in `labels` are
            numbered by the alphabet.
        num_classes: How many classes there are; None for those named, or one more than the highest label.
        name: What reports call the data set; None for the folder's name.
        split: Shares of the parts, by a hash of each video's id, so that a video is in the same part next time. What
            the sources or `labels` say of a video goes first; videos without labels are in ``"test"``.
        level: ``"frame"``, or ``"video"`` for the mean of the frames; None for what the first video is.
        coding: ``"byte"`` as YouTube-8M, or ``"float"``; None for bytes at frame level and floats at video level.
        modalities: Those to take; None for all there are.
        missing: ``"refuse"`` a video that lacks a modality, or leave it to ``"silence"``.
        frames_apart: How many frames a video's modalities may differ by; they are cut to the shorter.
        records_per_shard: Videos a shard.
        progress: Whether a bar is shown where errors go, if that is a terminal.

    Raises:
        UsageError: An argument that cannot be used, or a folder that holds something already.
        DataError: A source is missing or damaged, or a video is not like the others; names file and record.
    """
    sources = [sources] if isinstance(sources, str | os.PathLike) else sources
    _check_paths(sources, out)
    _check_choices(level, coding, missing, modalities)
    counts = {"num_classes": (num_classes, 1), "frames_apart": (frames_apart, 0)}
    for what, (value, least) in (counts | {"records_per_shard": (records_per_shard, 1)}).items():
        if value is not None and value < least:
            raise UsageError(f"{what} must be at least {least}. Received: {value}.")
    shares = read_shares(split)
    table = read_labels(Path(labels)) if labels is not None else None
    known = _classes(None if classes is None else Path(classes), num_classes, table)
    with _folder(Path(out)) as folder:
        writer = ShardWriter(folder, records_per_shard)
        coder = Coder(level=level, coding=coding, missing=missing, frames_apart=frames_apart)
        importer = Importer(coder=coder, classes=known, table=table, shares=shares, writer=writer)
        try:
            choice = Choice(None if modalities is None else tuple(modalities))
            videos = read_sources([Path(source) for source in sources], choice)
            # A bar only where somebody sees it.
            for video in tqdm(videos, unit=" videos", disable=None if progress else True):
                importer.add(video)
        finally:
            writer.close()
        _check_parts(importer.videos, importer.labelled, writer.counts, Path(out), records_per_shard)
        with writes(out):
            file = _write_vocabulary(folder, known, classes, importer.trained)
            _describe(folder, importer, name=name or one_line(Path(out).absolute().name), vocabulary=file)
    videos = {part: importer.videos[part] for part in SPLITS if part in importer.videos}
    return Import(Path(out), videos, importer.notes())


def _check_paths(sources: Sequence[str | os.PathLike], out: str | os.PathLike) -> None:
    for path in map(os.fspath, (*sources, out)):
        if is_remote(path):
            raise UsageError(
                f"Features are imported from local files into a local folder. Received: {path}. Copy them "
                "before, and the folder afterwards."
            )
    out = Path(out)
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise UsageError(
            f"{out} already holds something, and nothing is overwritten. Name another folder, or remove it."
        )


def _check_choices(
    level: str | None, coding: str | None, missing: str, modalities: Sequence[str] | None
) -> None:
    for value, table, what in (
        (level, LEVELS, "level"),
        (coding, NUMERIC_CODINGS, "coding"),
        (missing, MISSING, "rule"),
    ):
        if value is not None:
            choose(dict.fromkeys(table), value, what=what)
    if level == "video" and coding == "byte":
        raise UsageError("Video-level records hold floats. Leave --coding out, or import at frame level.")
    if modalities is not None and not (modalities and all(modalities)):
        raise UsageError(f"modalities must be names. Received: {modalities!r}.")


def _classes(path: Path | None, num_classes: int | None, table: LabelTable | None) -> Classes:
    if path is not None:
        known = read_classes(path)
    elif table is not None and table.labels is not None:
        known = gathered((cell for cells in table.labels.values() for cell in cells), table.path)
    else:
        known = Classes()
    if num_classes is not None:
        if known.num_classes is not None and num_classes < known.num_classes:
            raise UsageError(
                f"{known.source} names {known.num_classes} classes, but num_classes is {num_classes}."
            )
        known.num_classes = num_classes
    return known


def _check_parts(
    videos: Counter[str], labelled: set[str], counts: dict[str, int], out: Path, records_per_shard: int
) -> None:
    if not videos:
        raise DataError("The sources hold no videos. Nothing was written.")
    shards = {part: [name for name in counts if name.startswith(part)] for part in videos}
    try:
        divide_splits(shards, frozenset(labelled), str(out))
    except DataError as error:
        told = ", ".join(f"{part} {videos[part]:,}" for part in SPLITS if part in videos)
        raise DataError(
            f"No data set to train on can be made of these videos ({told}): {error} With fewer records a "
            f"shard (`--records-per-shard`, now {records_per_shard}) there are more shards; only to predict "
            "on the videos, put them all into one part: `--split test=1`."
        ) from error


def _write_vocabulary(
    folder: Path, known: Classes, given: str | os.PathLike | None, trained: Counter[int]
) -> str | None:
    if given is not None and Path(given).suffix.lower() == ".csv":
        # As it is: it may hold more columns than the names.
        shutil.copyfile(given, folder / VOCABULARY)
    elif known.names:
        (folder / VOCABULARY).write_bytes(vocabulary(known.names, trained))
    else:
        return None
    return VOCABULARY


def _describe(folder: Path, importer: Importer, *, name: str, vocabulary: str | None) -> None:
    from dmlkit.data.schema import write_dataset_toml

    if not importer.classes.count:
        raise DataError(
            "No video has a label, so the number of classes is not to be known. Give --num-classes or "
            "--classes: those of the model that is to predict on them."
        )
    write_dataset_toml(
        str(folder),
        name=name,
        level=importer.coder.level,
        features=importer.features(),
        num_classes=importer.classes.count,
        splits={part: [f"{part}*.tfrecord"] for part in SPLITS if part in importer.videos},
        vocabulary=vocabulary,
        counts=dict(sorted(importer.writer.counts.items())),
    )


@contextmanager
def _folder(out: Path) -> Iterator[Path]:
    """A folder beside, which takes the place of `out` once it is finished."""
    partial = out.absolute().parent / f".{out.absolute().name}.{os.getpid()}.partial"
    try:
        with writes(out):
            partial.mkdir(parents=True)
        yield partial
        with writes(out):
            partial.rename(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
