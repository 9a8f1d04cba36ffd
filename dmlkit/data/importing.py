"""Your own features into shards in YouTube-8M's layout; `dmlkit data import --help` shows this text too.

What a source may be (several may be given; of a folder, every such file in it, down to 3 folders deep):

FILE.npz, one video: an array for each modality, (frames, size), or (size,) at video level. With them, where
there are any: `id` (else the file's name), `labels`, `split`.

FILE.npz, many videos: `ids` (N,). Each modality (frames of all videos, size) with `num_frames` (N,); or
(N, frames, size), of which `num_frames` are kept; or (N, size) at video level. Where there are any: `labels`
(N,), or (N, classes) of 0 and 1; `split` (N,).

FOLDER/<modality>/<id>.npy, (frames, size) or (size,); FOLDER/<id>_rgb.npy and <id>_flow.npy, for modalities of
usual names or of `--modalities`; FOLDER/<id>.npy for one modality, called rgb or by `--modalities`.

FILE.parquet: columns `id`, `labels` (a list, or one), `split`, and one for each modality: a list of lists a
video, or a list at video level. Damage is sure to be found only where the table has page checksums.

FILE.tfrecord, FILE.pb: SequenceExamples of MediaPipe's MediaSequence, many to a TFRecord or one to a file, as
its YouTube-8M graph leaves them. `RGB/feature/floats` is the modality rgb, and so on (at video level
`.../context_feature/floats`); the id is `example/id`, `clip/media_id`, or the name of the video file in
`clip/data_path`; the labels are `clip/label/index`, or `clip/label/string`.

Splits: of the table of labels; else of the source; else of the words train, tuning, val, dev, eval or test in
the names of folders in the source (also of sources, where there are several) and of files of many videos; else
by `--split`.

Labels: class indices, or names, which the table of labels or `--classes` gives. Several in a cell are separated
by semicolons or bars, or are a list (`["Dog", "Cat"]`, `[0 1]`); by commas where these are not in the names. Or
the table has a column of 0 and 1 for each class.

Values: uint8 is taken for YouTube-8M's bytes and kept as it is; floats are coded as such bytes, or kept with
`--coding float`. Those outside [-2, 2] are clipped and counted. More than 1 % of them, or values that look like
bytes of another type, are refused, but for `--allow-clipping`. Pickles are never read.
"""

from __future__ import annotations

import csv
import hashlib
import math
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from tqdm import tqdm

import dmlkit.data.import_readers as readers
import dmlkit.data.schema as schema
from dmlkit.data.import_readers import ImportedVideo, find_split
from dmlkit.data.opening import open_dataset, split_of
from dmlkit.data.records import frame_record, serialize_frames, serialize_video
from dmlkit.data.schema import SPLITS, TEXT, TEXT_SIZE, Feature, dequantize, quantize
from dmlkit.data.storage import is_remote, new_folder, readable_path
from dmlkit.errors import DataError, UsageError, choose, counted, nearest, one_line, plain_text, shorten
from dmlkit.metrics import FEWEST_FOR_A_TEST

SHARES = "train=0.8,tuning=0.1,validate=0.1"
UNLABELLED = "test"  # the split of videos without labels
VOCABULARY = schema.VOCABULARIES[0]
EARLY = 16  # videos after which a modality that is mostly out of range is refused
IN_TURN = 10  # shards of a split that are written in turn: each has videos of all sources
_MODALITY = re.compile(r"(?!(?:id|labels|num_frames)$)[A-Za-z][A-Za-z0-9_]*")


@dataclass(frozen=True)
class Import:
    """A finished import: its folder, the videos of each split, and notes on what was done to them."""

    folder: Path
    videos: dict[str, int]
    notes: tuple[str, ...]


def import_features(
    sources: str | os.PathLike | Sequence[str | os.PathLike] | Iterator[ImportedVideo],
    out: str | os.PathLike,
    *,
    labels: str | os.PathLike | None = None,
    classes: str | os.PathLike | Sequence[str] | None = None,
    num_classes: int | None = None,
    name: str | None = None,
    split: str = SHARES,
    level: str | None = None,
    coding: str | None = None,
    modalities: Sequence[str] | None = None,
    missing: str = "refuse",
    allow_clipping: bool = False,
    records_per_shard: int = 256,
    progress: bool = False,
    add_files: Callable[[Path], Mapping] = lambda folder: {},
) -> Import:
    """Make a data set in YouTube-8M's layout of features computed elsewhere; `dmlkit.data.importing` lists formats.

    Videos are read one after another; only the set of their ids grows with their number.

    Args:
        sources: Files and folders of features; or the videos themselves, as an iterator.
        out: The folder to make; it appears when it is finished.
        labels: A CSV with the columns `id` and any of `labels` (or a column of 0 and 1 for each class), `split` and
            `text` (a title, keywords), which is a modality. It takes precedence over labels in the sources.
        classes: The class names: a vocabulary's table, a file of one name a line, a data set, whose classes are
            taken with its numbers, or the names themselves. None: names in `labels`, alphabetically.
        num_classes: None for those named, or one more than the highest label.
        name: What reports call the data set; None for the folder's name.
        split: Shares of the splits, by a hash of each video's id, where no split is stated. Videos without labels are
            in ``"test"``.
        level: ``"frame"``, or ``"video"`` for the mean of the frames; None for what the first video is.
        coding: ``"byte"`` as YouTube-8M, or ``"float"``; None for bytes at frame level and floats at video level.
        modalities: Those to take; None for all there are.
        missing: ``"refuse"`` a video that lacks a modality, or read it as ``"silence"``.
        allow_clipping: Whether more than 1 % of a modality's values may be clipped to bytes, or look like bytes.
        records_per_shard: Videos a shard, at most.
        progress: Whether to show a progress bar on a terminal.
        add_files: Puts more files into the folder, before it is whole, and returns their entries of dataset.toml.

    Raises:
        UsageError: An argument that cannot be used, or a folder that is not empty.
        DataError: A source is missing or damaged, or a video is not like the others; names file and record.
    """
    given = sources if isinstance(sources, Iterator) else None
    sources = [sources] if isinstance(sources, str | os.PathLike) else list(() if given else sources)
    if remote := [path for path in map(os.fspath, (*sources, out)) if is_remote(path)]:
        raise UsageError(f"Files and folder of an import must be local. Received: {remote[0]}.")
    sources, out = [Path(readable_path(source)) for source in sources], Path(readable_path(out))
    labels = None if labels is None else Path(readable_path(labels))
    refuse_filled(out)
    choose(dict.fromkeys(("frame", "video")), level or "frame", what="level")
    choose(dict.fromkeys(("byte", "float")), coding or "byte", what="coding")
    choose(dict.fromkeys(("refuse", "silence")), missing, what="rule")
    if level == "video" and coding == "byte":
        raise UsageError("Video-level records hold floats. Leave --coding out, or import at frame level.")
    if records_per_shard < 1 or (modalities is not None and not modalities):
        raise UsageError(f"Out of range: {records_per_shard=} or {modalities=}.")
    table = readers.read_labels(labels) if labels is not None else readers.Table({})
    known = readers.find_classes(classes, num_classes, table, labels)
    rules = (records_per_shard, level, coding, missing, allow_clipping)
    importer = Importer(known, table, labels, parse_shares(split), *rules)
    used = {os.path.abspath(file) for file in (labels, classes) if isinstance(file, str | os.PathLike)}
    aside = Counter(f"column {shorten(column)}" for column in table.aside)
    with new_folder(out) as folder:
        videos = given or readers.read_sources(sources, modalities, used, aside)
        for video in tqdm(videos, unit=" videos", disable=None if progress else True):
            importer.add(video, folder)
        try:
            importer.finish()
        except DataError as error:
            raise DataError(f"{shorten(', '.join(map(str, sources or [out])), 200)}: {error}") from None
        if known.names:
            with (folder / VOCABULARY).open("w", encoding="utf-8", newline="") as file:
                csv.writer(file, lineterminator="\n").writerows([("Index", "Name"), *known.names.items()])
        videos = {split: importer.splits[split] for split in SPLITS if split in importer.splits}
        schema.write_dataset_toml(
            str(folder),
            name=name or one_line(out.absolute().name),
            level=importer.level,
            features=importer.features(),
            num_classes=known.count,
            splits={split: [f"{split}*.tfrecord"] for split in videos},
            vocabulary=VOCABULARY if known.names else None,
            counts=dict(sorted(importer.counts.items())),
            **add_files(folder),
        )
        try:
            dataset = open_dataset(folder)
        except DataError as error:
            remedy = "Import more videos, or to predict only use `--split test=1`."
            raise DataError(f"{str(error).replace(str(folder), str(out))} {remedy}") from error
        sizes = {each: dataset.num_videos(each) for each in ("tuning", "validate") if each in dataset.splits}
    notes = [*importer.notes(), *dataset.notes]
    if aside := +aside:
        kinds = ", ".join(f"{kind} ({count:,})" for kind, count in sorted(aside.items()))
        notes.append(f"Left aside: {shorten(kinds, 200)}.")
    if few := [f"{split} ({count})" for split, count in sizes.items() if count < FEWEST_FOR_A_TEST]:
        notes.append(f"Of fewer than {FEWEST_FOR_A_TEST} videos no test is claimed: {', '.join(few)}.")
    return Import(out, videos, tuple(notes))


def refuse_filled(out: Path) -> None:
    """Raise `UsageError` where there is something that a new data set would overwrite."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} is not empty, and nothing is overwritten. Name another folder.")


def plan_splits(
    videos: Iterable[ImportedVideo], *, labels: Path | None, classes, num_classes: int | None, split: str
) -> dict[str, str]:
    """Id → split of videos whose features are not known yet, as `import_features` will divide them.

    Raises what that would about arguments, ids, labels and splits.
    """
    table = readers.read_labels(labels) if labels is not None else readers.Table({})
    known = readers.find_classes(classes, num_classes, table, labels)
    importer = Importer(known, table, labels, parse_shares(split), 1, None, None, "refuse", True)
    splits = {}
    for video in videos:
        with importer.located(video):
            splits[video.id] = importer.describe(video)[0]
    importer.splits.update(splits.values())
    importer.finish()
    return splits


def parse_shares(text: str) -> dict[str, float]:
    """``"train=0.8,tuning=0.1,val=0.1"`` → split → share."""
    shares: dict[str, float] = {}
    for piece in text.split(","):
        name, _, share = (word.strip() for word in piece.partition("="))
        split = split_of(name, alone=True) or choose({each: each for each in SPLITS}, name, what="split")
        if split in shares:
            raise UsageError(f"--split: {shorten(text)!r} has two shares of {split}. Give one.")
        shares[split] = float(share) if re.fullmatch(r"[0-9]*\.?[0-9]+", share, re.ASCII) else 0.0
    if min(shares.values()) <= 0 or not math.isclose(sum(shares.values()), 1, abs_tol=1e-6):
        raise UsageError(f"--split: expected shares above 0 that sum to 1, as {SHARES}: {shorten(text)!r}.")
    return {name: shares[name] for name in SPLITS if name in shares}


@dataclass
class Modality:
    """One modality, and what was seen of its values; `from_bytes`: the sources have YouTube-8M's bytes."""

    name: str
    size: int
    from_bytes: bool
    videos: int = 0
    values: int = 0
    clipped: int = 0
    low: float = math.inf
    high: float = -math.inf
    whole: bool = True  # all values are whole numbers

    def code(self, array: np.ndarray, *, to_bytes: bool, averaged: bool, checked: bool) -> np.ndarray:
        """The values to write, uint8 or float32, of a video's (frames, size) or (size,)."""
        self.videos += 1
        if (array.dtype == np.uint8) != self.from_bytes:
            raise DataError(f"{self.name} is {array.dtype}, not like the videos before. Save all alike.")
        if self.from_bytes and to_bytes:
            return array
        if self.from_bytes:
            values = dequantize(array)
        else:
            with np.errstate(over="ignore", invalid="ignore"):  # checked below
                values = array.astype(np.float32)
            if not np.isfinite(values).all():
                place = np.argwhere(~np.isfinite(values))[0].tolist()
                raise DataError(f"{self.name} holds NaN or infinity, first at {place}. Compute it again.")
            self.values += values.size
            self.low, self.high = min(self.low, float(values.min())), max(self.high, float(values.max()))
            self.whole = self.whole and bool((np.rint(values) == values).all())
        if averaged and array.ndim == 2:
            values = values.mean(axis=0, dtype=np.float64).astype(np.float32)
        self.clipped += schema.count_clipped(values) if to_bytes else 0
        if self.videos == EARLY and checked:  # not all of them, where most are wrong
            self.check(0.5)
        return quantize(values) if to_bytes else values

    def check(self, most: float = schema.MOST_CLIPPED) -> None:
        """Raise `DataError` where more than a share of the values is clipped, or all look like bytes."""
        share = self.clipped / max(1, self.values)
        if self.whole and self.low >= 0 and 2 < self.high <= 255:
            cause = "All are whole: save YouTube-8M's bytes as such (`array.astype(np.uint8)`), scale others"
        elif share > most:
            cause = "They may be activations that were not whitened as YouTube-8M's: scale them"
        else:
            return
        clipped = f": {self.clipped:,} of {self.values:,} values ({share:.1%}) would be clipped" * bool(share)
        advice = f"{cause}, keep them (`--coding float`), or accept it (`--allow-clipping`)."
        raise DataError(f"{self.name} is from {self.low:g} to {self.high:g}{clipped}. {advice}")


@dataclass
class Importer:
    """Makes every video one level, one set of modalities and one coding, and writes it into a shard of its split."""

    classes: readers.Classes
    table: readers.Table
    source: object  # of the table
    shares: Mapping[str, float]
    records_per_shard: int
    level: str | None
    coding: str | None
    missing: str
    allow_clipping: bool

    def __post_init__(self) -> None:
        self.averaged = self.level == "video"
        self.checked = self.coding != "float" and not self.allow_clipping
        self.modalities: dict[str, Modality] = {}
        self.ids = set()
        self.counts, self.splits = Counter(), Counter()  # records by shard, videos by split
        # Videos whose split names of folders state; for which several are stated; without labels; cut.
        self.named = self.overruled = self.unlabelled = self.cut = 0

    def add(self, video: ImportedVideo, folder: Path) -> None:
        """Write one video; raises DataError, with file and record, where it cannot be taken."""
        video = video._replace(id=plain_text(video.id))
        with self.located(video):
            split, labels, texts = self.describe(video)
            arrays = self._encode(video.features)
        more, frames = {"video_id": video.id, "labels": labels, "texts": texts}, self.level == "frame"
        data = serialize_frames(frames=arrays, **more) if frames else serialize_video(features=arrays, **more)
        begun, place = divmod(self.splits[split], IN_TURN * self.records_per_shard)
        shard = f"{split}{begun * IN_TURN + place % IN_TURN:05d}.tfrecord"
        with (folder / shard).open("ab") as file:
            file.write(frame_record(data))
        self.counts[shard] += 1
        self.splits[split] += 1

    def finish(self) -> None:
        """Checks over all videos."""
        if not self.splits:
            raise DataError("there are no videos. Nothing was written.")
        if not self.classes.count:
            raise DataError("no video has labels. To predict only, give --num-classes or --classes.")
        if 0 < self.unlabelled < self.splits[UNLABELLED]:
            what = f"of the {self.splits[UNLABELLED]:,} videos in the split {UNLABELLED}, {self.unlabelled:,} have no"
            raise DataError(
                f"{what} labels, and would count as of no class. Label all, or import them apart."
            )
        self.classes.check()
        for modality in self.modalities.values() if self.checked else ():
            modality.check()

    @contextmanager
    def located(self, video: ImportedVideo) -> Iterator[None]:
        """Name the video in a `DataError`."""
        try:
            yield
        except DataError as problem:
            table = f" ({self.source})" if self.source else ""
            raise DataError(f"{video.where}, {shorten(video.id)}{table}: {problem}") from None

    def describe(self, video: ImportedVideo) -> tuple[str, list[int] | None, dict | None]:
        """Split, classes and texts of a video."""
        if not video.id or video.id in self.ids:
            what = "a video of this id came before" if video.id else "its id is empty"
            raise DataError(f"{what}. Give every video an id of its own.")
        self.ids.add(video.id)
        cells = {name: column.get(video.id) for name, column in self.table.cells.items()}
        labels, known = cells.get("labels", video.labels), {*map(find_split, cells.get("split") or [])}
        if len(known) > 1:
            raise DataError(f"it is in several splits: {', '.join(sorted(known))}. Give it one.")
        stated = [*known, *([find_split(video.split)] if video.split else []), *filter(None, [video.named])]
        split = stated[0] if stated else None
        self.named += stated == [video.named]
        self.overruled += len({*stated}) > 1
        lacks = "labels" if labels is None and (split or "labels" in cells) else ""
        if "id" in cells and cells["id"] is None and not split:
            lacks = lacks or "row in the table"
        if lacks and split != UNLABELLED and {*self.shares} != {UNLABELLED}:
            hint = nearest(video.id, islice(self.table.cells.get("id", {}), 10_000))
            raise DataError(f"it has no {lacks}. Add it (a cell may be empty), or split {UNLABELLED}.{hint}")
        if TEXT in cells and TEXT in video.features:
            raise DataError("text is a column of the table and a modality of the sources (`--modalities`).")
        texts = {TEXT: cells[TEXT]} if cells.get(TEXT) else None
        if labels is None:
            self.unlabelled += 1
            return UNLABELLED, None, texts
        if split is None:  # by the id alone, so that it is the same in every import with the same shares
            place = int.from_bytes(hashlib.sha256(video.id.encode()).digest()[:7], "big") / 2**56
            ends = np.cumsum([*self.shares.values()])[:-1]
            split = [*self.shares][int(np.searchsorted(ends, place, side="right"))]
        return split, sorted(self.classes.indices(labels)), texts

    def _encode(self, features: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Key in the record → the array to write, uint8 or float32."""
        for name, array in features.items():
            numbers = array.dtype == np.uint8 or array.dtype.kind == "f"
            if not (numbers and array.ndim in (1, 2) and array.shape[-1] and _MODALITY.fullmatch(name)):
                raise DataError(
                    f"{shorten(name)}, {array.dtype} {array.shape}, cannot be a modality: expected (frames, size) or "
                    "(size,) of floats, or of YouTube-8M's bytes (`array.astype(np.uint8)`), under a name of letters, "
                    "digits and _ (`--modalities`)."
                )
        arrays = {name: array for name, array in features.items() if len(array)}
        if not arrays:
            raise DataError("there are no frames in any modality. Leave the video out.")
        if self.level is None:
            self.level = "frame" if any(array.ndim == 2 for array in arrays.values()) else "video"
        self.to_bytes = self.level == "frame" and self.coding != "float"
        self.key = "" if self.level == "frame" else "mean_"
        if self.missing == "refuse" and self.modalities and arrays.keys() != self.modalities.keys():
            what = f"it has {', '.join(arrays)}, but the videos before it {', '.join(self.modalities)}"
            advice = "Import what all have (`--modalities`), or read others as silence (`--missing silence`)."
            raise DataError(f"{what}. {advice}")
        frames = self.level == "frame"
        for name, array in arrays.items():
            if name not in self.modalities:
                self.modalities[name] = Modality(name, array.shape[-1], array.dtype == np.uint8)
            size = self.modalities[name].size
            if array.shape[-1] != size or (array.ndim != 1 + frames and not self.averaged):
                expected = f"(frames, {size})" if frames else f"({size},)"
                raise DataError(f"{name} is {array.shape}, in other videos {expected} (`--level`).")
        if frames:
            lengths = {name: len(array) for name, array in arrays.items()}
            shortest, longest = min(lengths.values()), max(lengths.values())
            if longest - shortest > schema.FRAMES_APART:
                much = f"more than {schema.FRAMES_APART}. Extract them at one rate, or cut them alike."
                raise DataError(f"the modalities differ in their number of frames ({lengths}), by {much}")
            self.cut += longest > shortest
            arrays = {name: array[:shortest] for name, array in arrays.items()}
        how = {"to_bytes": self.to_bytes, "averaged": self.averaged, "checked": self.checked}
        return {self.key + name: self.modalities[name].code(array, **how) for name, array in arrays.items()}

    def features(self) -> dict[str, Feature]:
        """The modalities, largest first, as dataset.toml has them."""
        coding = "byte" if self.to_bytes else "float"
        largest = sorted(self.modalities.values(), key=lambda each: (-each.size, each.name))
        features = {m.name: Feature(m.name, m.size, coding, self.key + m.name) for m in largest}
        return features | ({TEXT: Feature(TEXT, TEXT_SIZE, TEXT, TEXT)} if TEXT in self.table.cells else {})

    def notes(self) -> Iterator[str]:
        """What was done to the videos, one sentence each."""
        yield from self.classes.notes()
        yield f"The modalities: {', '.join(f'{each.name} ({each.size:,})' for each in self.modalities.values())}."
        if self.named:
            yield f"The names of folders or files state the split of {counted(self.named, 'video')}."
        if self.overruled:
            winner = self.source if "split" in self.table.cells else "what is inside the files"
            yield f"Of {counted(self.overruled, 'video')} several splits are stated; that of {winner} is taken."
        if self.unlabelled:
            yield f"Without labels: {counted(self.unlabelled, 'video')}, in the split {UNLABELLED}."
        for each in self.modalities.values():
            if each.clipped:
                share = f"{each.clipped:,} of {each.values:,} values ({each.clipped / each.values:.3%})"
                yield f"{each.name}: {share} were clipped to [-2, 2]."
            if lacking := len(self.ids) - each.videos:
                yield f"{each.name} is missing in {counted(lacking, 'video')}, where it is read as silence."
        if self.cut:
            yield f"Cut to the shortest of the modalities: {counted(self.cut, 'video')}."
        if TEXT in self.table.cells:
            yield f"Texts are the modality {TEXT}, hashed to {TEXT_SIZE} places (`size` in dataset.toml)."
        if unused := sorted({*self.table.cells.get("id", ())} - self.ids):
            yield f"{self.source} names {counted(len(unused), 'video')} not there: {shorten(', '.join(unused))}."
