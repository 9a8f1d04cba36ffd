"""Data sets: opening a folder by its dataset.toml or by what its records hold, and the ways to read it.

Three splits for three uses: training, tuning, validation. Early stopping, learning rates and ensemble weights see only
the tuning split; the validation split is scored once. Whole shards are moved, never records, so that nothing need be
read to divide a data set.
"""

from __future__ import annotations

import hashlib
import json
import os
import posixpath
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

import dmlkit.data.records as records
import dmlkit.data.schema as schema
import dmlkit.data.storage as storage
from dmlkit.data.batches import RAISE, Batches, Skipped, limit_shards
from dmlkit.data.layout import USUAL_CONTEXT, ContextCoding, common_folder, infer_context, notes_on, survey
from dmlkit.data.parsing import FRAME_CHOICES, FrameSampler, RecordParser
from dmlkit.data.schema import DATASET_TOML, SPLITS, DatasetSettings, Feature, ThumbnailSettings
from dmlkit.data.synthetic import synthesize
from dmlkit.errors import DataError, UsageError, choose, counted, html_card, nearest, shorten
from dmlkit.files import file_lock
from dmlkit.paths import generated_data, is_remote

Splits = Mapping[str, Sequence[str]]  # split → shards
MIN_SHARDS = 3
ADVICE = "Give the folder of a data set, or shards, or make one (`dmlkit data synthesize DIR`)."
CHECKSUM_BYTES = 8  # at the end of a shard, compressed or not
# Split → words in the names of its files or folders, in any case; tried in this order. A word begins and ends where
# letters do ("latest" is no test), but for the two letters or digits that number YouTube-8M's shards ("trainZp").
_SPLIT_WORDS = {
    "tuning": "tune|tuning",
    "train": "train|training",
    "validate": "val|valid|validate|validation|eval|evaluate|evaluation|dev",
    "test": "test|testing",
}


@dataclass(frozen=True)
class Dataset:
    """A folder of shards, or some of them, described. Made by `open_dataset`.

    Attributes:
        path, name: The folder, and what reports call it.
        level: ``"video"`` or ``"frame"``.
        features: The modalities by name, in a fixed order.
        num_classes, class_names: How many classes there are, and a name for each.
        named: Whether these names are a vocabulary's; else they are the numbers of the classes.
        splits: ``"train"``, ``"tuning"``, ``"validate"``, ``"test"`` (those there are) → shards, sorted.
        labelled: The splits whose records carry labels; of segments, ratings.
        notes: What was inferred or divided, one sentence each, for reports.
        generated: Whether the data were generated.
        class_kinds: A kind for each class, where the vocabulary has them.
        class_groups: A group for each class (YouTube-8M's verticals), where the vocabulary has them.
        truth_files: Split → the file of the frames that made each label, as in dataset.toml.
        counts: Shard → the records it should hold, of the shards of which dataset.toml declares it.
        id_key: The key of the records' ids, where it shows their release.
        limits: Shard → the most records that are read of it, of the shards of a capped split that are not read whole.
        context: How the records hold ids and labels.
        thumbnails, media, link: Where pictures of the frames, the file and the web page of a video are found: patterns,
            or the file itself as a `Path`.
        extractor: The recipe of the features, where dataset.toml has it (`dmlkit.extraction`).
        segments: The splits whose records rate segments.
        unit: What a row of a batch is: a ``"video"``, or a ``"segment"``, five seconds of one as a short video.
            `num_videos`, `limits`, `counts` and caps (``max_videos``) are numbers of videos all the same;
            `num_examples` is the number of rows, by which the steps of an epoch are counted.
    """

    path: str
    name: str
    level: str
    features: dict[str, Feature]
    num_classes: int
    class_names: tuple[str, ...] = field(repr=False)  # thousands of them, as of the shards
    splits: dict[str, tuple[str, ...]] = field(repr=False)
    labelled: frozenset[str]
    named: bool = True
    notes: tuple[str, ...] = ()
    generated: bool = False
    class_kinds: tuple[str, ...] | None = field(default=None, repr=False)
    class_groups: tuple[str, ...] | None = field(default=None, repr=False)
    truth_files: dict[str, str] = field(default_factory=dict, repr=False)
    counts: dict[str, int] = field(default_factory=dict, repr=False)
    id_key: str | None = field(default=None, repr=False)
    limits: dict[str, int] = field(default_factory=dict, repr=False)
    context: ContextCoding = field(default=USUAL_CONTEXT, repr=False)
    thumbnails: ThumbnailSettings | None = field(default=None, repr=False)
    media: tuple[str | Path, ...] = field(default=(), repr=False)
    link: str | None = field(default=None, repr=False)
    extractor: dict | None = field(default=None, repr=False)
    segments: frozenset[str] = frozenset()
    unit: str = "video"
    _counted: dict[str | tuple, int] = field(default_factory=dict, repr=False, compare=False)
    _repeats: dict[tuple, dict] = field(default_factory=dict, repr=False, compare=False)  # of `Batches`

    def __repr__(self) -> str:
        return f"Dataset({shorten(self.name, 80)}: {'; '.join(self._described().values())})"

    def _repr_html_(self) -> str:
        return html_card(self.name, self._described() | {"folder": self.path}, self.notes)

    def _described(self) -> dict[str, str]:
        features = ", ".join(f"{name} ({each.size:,}, {each.coding})" for name, each in self.features.items())
        splits = ", ".join(f"{split} {counted(len(each), 'shard')}" for split, each in self.splits.items())
        level = f"{self.level}-level" + ", segments" * (self.unit != "video") + ", generated" * self.generated
        classes = counted(self.num_classes, "class", "classes")
        return {"records": level, "classes": classes, "modalities": features, "splits": splits}

    @property
    def fps(self) -> float:
        """Frames a second: those of the extractor, or 1 as in YouTube-8M."""
        return (self.extractor or {}).get("fps", 1)

    def batches(
        self,
        split: str,
        *,
        batch_size: int,
        shuffle: bool = False,
        seed: int = 0,
        epoch: int = 0,
        frame_choice: str = "first",
        max_frames: int | None = None,
        frame_share: float = 1.0,
        max_videos: int | None = None,
        on_fault: str | Skipped = RAISE,
        balance: float = 0.0,
    ) -> Batches:
        """One epoch of a split, as dicts of numpy arrays.

        ``"id"`` (B,) str; each modality by name: (B, T, D) uint8 (byte coding) or float32, zeros after a video's
        last frame, T the batch's longest video (frame level), or (B, D) float32 (video level; texts at both, as
        bags of 0 and 1); ``"num_frames"`` (B,) int32 (frame level); ``"labels"`` (B, num_classes) float32 of 0 and 1
        (where the split has labels).

        With the unit ``"segment"`` each row is one: ids are ``"VIDEO:START"``, ``"labels"`` the classes that people
        found in it, and ``"rated"`` (B, num_classes) float32 is 1 where they were asked: only these pairs count. Of a
        split without ratings, each video is divided into its segments.

        Args:
            split: One of the data set's splits.
            batch_size: Videos (or segments) a batch; the last one may have fewer.
            shuffle: False: shards sorted, records in order. True: an order that is a function of seed and epoch.
            seed: For the order and for random frames.
            epoch: Counted from 0.
            frame_choice: ``"first"``, ``"uniform"`` or ``"random"``: which frames stay of a video longer than
                ``max_frames``.
            max_frames: The most frames a video; None keeps all.
            frame_share: How many of the frames that stay are shown, resampled each epoch; 1 shows all.
            max_videos: At most so many videos: a fixed sample of the split's shards, the same in every epoch and for
                every seed, in the order of the shards. A larger sample holds a smaller one.
            on_fault: ``"raise"`` at the first corrupt record, or ``"skip N"``: skip at most N of them.
            balance: Where shuffled, from 0 to 1, how much more often videos of rare classes come than those of common
                ones: in proportion to the mean over their classes of n_c^-balance, where n_c videos have class c. As
                many come as there are. With one class a video, balance 1 shows each class equally often; with several
                it does not, as the common classes come with the rare ones.

        Raises:
            UsageError: An unknown split, frame choice or policy, or a number out of range.

        Paper: §Future work, training on randomly sampled frames (``frame_choice="random"``, ``frame_share``).
        Differs from the paper: padded to the longest video of the batch, not to 300 frames.
        """
        choose(FRAME_CHOICES, frame_choice, what="frame choice")
        skipped = Skipped.of(on_fault)
        read = capped(self, {split: max_videos}, on_fault=skipped)
        parser = self.parser(split, FrameSampler(frame_choice, max_frames, frame_share, seed, epoch))
        return Batches(read, split, parser, batch_size, shuffle, seed, epoch, balance, skipped)

    def num_videos(self, split: str, *, on_fault: str | Skipped = RAISE) -> int:
        """The number of videos that are read of a split, as dataset.toml counts them, or by the headers.

        Where `on_fault` is to skip corrupt records, they are counted nevertheless; else `DataError` names the first.
        """
        skip = Skipped.of(on_fault).most > 0
        known = self.counts | ({} if skip else self._counted)
        for shard in self._shards(split):
            if shard not in known:
                known[shard] = records.count_records(shard, skip_damaged=skip)
        self._counted.update({} if skip else known)
        return sum(min(known[shard], self.limits.get(shard, known[shard])) for shard in self._shards(split))

    def num_examples(self, split: str, *, on_fault: str | Skipped = RAISE) -> int:
        """The number of rows in an epoch of a split: its videos, or its segments (which reads every record once).

        Where `on_fault` is to skip corrupt records, videos are counted nevertheless, their segments are not.
        """
        if self.unit == "video":
            return self.num_videos(split, on_fault=on_fault)
        policy = Skipped.of(on_fault).policy  # not itself: it counts those of a training
        key = (policy, *((shard, self.limits.get(shard)) for shard in self._shards(split)))
        if key not in self._counted:
            batches = self.batches(split, batch_size=512, on_fault=policy)
            self._counted[key] = sum(len(batch["id"]) for batch in batches)
        return self._counted[key]

    def require_labels(self, split: str) -> None:
        """Raise `DataError` for a split that is missing or not labelled."""
        self._shards(split)
        if split not in self.labelled:
            others = ", ".join(each for each in SPLITS if each in self.labelled) or "none"
            raise DataError(f"The split {split!r} of {self.path} carries no labels. Others do: {others}.")

    def truth(self, split: str) -> dict[str, dict[int, np.ndarray]]:
        """For generated data, the frames that made each label: video id → class → frame numbers, int64, sorted.

        The training split's file holds the tuning split's videos, too. Empty for data that come without such a file.
        """
        self._shards(split)
        name = self.truth_files.get(split) or (self.truth_files.get("train") if split == "tuning" else None)
        videos = json.loads(storage.read_bytes(posixpath.join(self.path, name))) if name else {}
        return {
            video_id: {int(label): np.array(frames, dtype=np.int64) for label, frames in classes.items()}
            for video_id, classes in videos.items()
        }

    @cached_property
    def fingerprint(self) -> str:
        """A digest of these data: equal after a move to another folder, different after most changes.

        From the schema and, of every shard, its name, size and last eight bytes (a checksum is among them). A change
        within earlier records that keeps a shard's size is not noticed here.
        """
        schema = [self.level, self.num_classes, [vars(feature) for feature in self.features.values()]]
        schema += [self.unit] if self.unit != "video" else []
        schema += [vars(self.context)] if self.context.names else []  # which decide the classes
        digest = hashlib.sha256(json.dumps(schema, sort_keys=True).encode())
        for split, shards in sorted(self.splits.items()):
            for shard in shards:
                with storage.opened(shard) as (file, size):
                    name = f"{split} {storage.relative_name(shard, self.path)} {size} "
                    digest.update(name.encode("utf-8", "surrogateescape"))
                    file.seek(max(0, size - CHECKSUM_BYTES))
                    digest.update(file.read(CHECKSUM_BYTES))
        return digest.hexdigest()

    def parser(self, split: str, sampler: FrameSampler | None = None) -> RecordParser:
        """The parser of the records of a split."""
        features, sampler = tuple(self.features.values()), sampler or FrameSampler()
        about = (self.num_classes, split in self.labelled, sampler, self.id_key, self.context)
        return RecordParser(self.level, features, *about, unit=self.unit, rated=split in self.segments)

    def _shards(self, split: str) -> tuple[str, ...]:
        if split not in self.splits:
            hint = nearest(split, self.splits)
            raise UsageError(f"{self.path} has no split {split!r}.{hint} It has: {', '.join(self.splits)}.")
        return self.splits[split]


def read_contexts(dataset: Dataset, split: str, *, labelled: bool = False) -> Iterator[tuple[str, list[int]]]:
    """Each video's id and classes, in the order of unshuffled `Dataset.batches`, without features and TensorFlow.

    Of segments, each one's id and the classes that were found in it; `read_rated` has those that were asked for, too.
    Raises `DataError` where a record is invalid, or the split must be `labelled` and is not.
    """
    dataset.num_videos(split)  # finds a shard that ends too early
    if labelled:
        dataset.require_labels(split)
    for video_id, labels, _ in _contexts_of(dataset.splits[split], dataset.parser(split), dataset.counts):
        yield video_id, labels


def read_rated(dataset: Dataset, split: str) -> Iterator[tuple[str, list[int], list[int]]]:
    """Each rated segment's id, the classes that were found in it, and those that it was rated for; as `read_contexts`.

    Raises `UsageError` where the data set is not one of segments, `DataError` where the split has no ratings.
    """
    if dataset.unit != "segment":
        raise UsageError('Ratings are of segments: use `open_dataset(path, unit="segment")`.')
    dataset.num_videos(split)  # finds a shard that ends too early
    dataset.require_labels(split)
    yield from _contexts_of(dataset.splits[split], dataset.parser(split), dataset.counts)


def _contexts_of(
    shards: Iterable[str], parser: RecordParser, counts: Mapping
) -> Iterator[tuple[str, list[int], list[int] | None]]:
    """Id, classes and rated classes of each row of some shards."""
    for shard in shards:
        for record in records.scan_records(shard, expected_count=counts.get(shard)):
            try:
                yield from parser.read_contexts(record.check())
            except records.InvalidRecord as invalid:
                raise records.record_error(*record[:3], invalid) from invalid


def capped(dataset: Dataset, caps: Mapping[str, int | None], *, on_fault: str | Skipped = RAISE) -> Dataset:
    """The same data, of which at most so many videos a split are read: those of `Dataset.batches(max_videos=…)`."""
    splits, limits = dict(dataset.splits), dict(dataset.limits)
    skip = Skipped.of(on_fault).most > 0
    for split, cap in caps.items():
        settings = {"root": dataset.path, "limits": dataset.limits, "skip_damaged": skip}
        chosen = limit_shards(dataset._shards(split), cap, **settings)
        splits[split] = tuple(shard for shard, _ in chosen)
        limits |= {shard: most for shard, most in chosen if most is not None}
    return replace(dataset, splits=splits, limits=limits)


def with_tuning(dataset: Dataset) -> Dataset:
    """The same data with the tuning split as part of the training split, for training once more after tuning.

    Where the splits are `capped`, the training split is made of the videos of either that are read.
    """
    splits = {split: shards for split, shards in dataset.splits.items() if split != "tuning"}
    splits["train"] = dataset.splits["tuning"] + dataset.splits["train"]
    left = {name: getattr(dataset, name) - {"tuning"} for name in ("labelled", "segments")}
    return replace(dataset, splits=splits, **left)


class VideoReader:
    """Single videos of a split by their index in unshuffled `Dataset.batches(max_videos=…)`, found by the headers."""

    def __init__(self, dataset: Dataset, split: str, *, max_videos: int | None = None):
        if dataset.unit != "video":
            raise UsageError("Single videos are read whole: open the data set without `unit`.")
        dataset.num_videos(split)  # finds a shard that ends too early
        read = capped(dataset, {split: max_videos})
        self._chosen = [(shard, read.limits.get(shard)) for shard in read.splits[split]]
        self._spans: list[np.ndarray] = []  # of each shard scanned so far: (records, 2) offset and length
        self._parser = dataset.parser(split)

    def read(self, index: int) -> dict[str, np.ndarray]:
        """A batch of one video, all its frames; `Dataset.batches` describes it.

        ``"start"`` (1,) float32 is the second of the video at which the frames begin, as AudioSet's records have it,
        else 0.

        Raises `UsageError` where the split has no such video, `DataError` where it cannot be read.
        """
        left = index
        for place, (shard, most) in enumerate(self._chosen):
            if place == len(self._spans):
                spans = []
                for number, (offset, length, error) in enumerate(records.scan_headers(shard)):
                    if error:
                        raise records.record_error(shard, number, offset, error)
                    spans.append((offset, length))
                self._spans.append(np.array(spans[:most], np.int64).reshape(-1, 2))
            if 0 <= left < len(self._spans[place]):
                break
            left -= len(self._spans[place])
        else:
            raise UsageError(f"The split holds {index - left} videos, from 0. Received: index={index}.")
        offset, length = self._spans[place][left].tolist()
        try:
            record = records.read_record_at(shard, left, offset, length)
            return self._parser.parse([record]) | {"start": self._parser.read_start(record)}
        except records.InvalidRecord as invalid:
            raise records.record_error(shard, left, offset, invalid) from invalid


# Opening.


def as_dataset(data: str | os.PathLike | Dataset, *, unit: str = "video") -> Dataset:
    """The data set itself, or the one at a path, opened with this unit."""
    return open_dataset(data, unit=unit) if isinstance(data, str | os.PathLike) else data


def open_segments(data: str | os.PathLike | Dataset, folder: str | os.PathLike | None = None) -> Dataset:
    """The rated segments that belong to a data set: those of a folder, else its own, else of its folder ``segments``.

    Raises `DataError` where there are none.
    """
    dataset = as_dataset(data)
    own = dataset.path if dataset.segments else posixpath.join(dataset.path, "segments")
    if folder is None and not storage.exists(own):
        advice = "Name the folder of those of its videos, or generate some (`dmlkit data synthesize DIR --segments`)."
        raise DataError(f"{dataset.path} has no rated segments, and no folder 'segments'. {advice}")
    return open_dataset(folder or own, unit="segment")


def open_or_generate(path: str | os.PathLike | None = None) -> Dataset:
    """Open a data set; where the folder is missing and is called `generated`, generate it first.

    Without a path, it is the generated one of `dmlkit.paths`, whatever the working folder. Raises `DataError` where it
    is no data set, `UsageError` where it cannot be generated.
    """
    path = storage.readable_path(generated_data() if path is None else path)
    folder = Path(path)
    if folder.name == "generated" and not is_remote(path) and not storage.exists(path):
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            # Of notebooks that start together, one generates it, and the others wait.
            lock = folder.with_name(f".{folder.name}.lock")
            waiting = "The data set is being generated by {}; waiting ..."
            with file_lock(lock, taken=lambda holder: print(waiting.format(holder)), wait=True):
                if not folder.exists():
                    print(f"Generating a data set in {folder} ...")
                    synthesize(folder)
        except OSError as error:
            reason = error.strerror or error
            raise UsageError(f"Data cannot be generated in {folder}: {reason}. Name another.") from error
    return open_dataset(path)


def open_dataset(path: str | os.PathLike, *, num_classes: int | None = None, unit: str = "video") -> Dataset:
    """Open a folder of shards, or some of them, with or without a dataset.toml.

    Where there is none, level, modalities and their sizes are those of the first records, splits follow from the names
    of files and folders, classes from the vocabulary. Where only one split has labels, every fifth of its shards
    validates; where there is no tuning split, every tenth training shard becomes one. `Dataset.notes` lists all that.

    Args:
        path: The folder, local or anything ``tf.io.gfile`` knows; or a single shard, or a pattern of shards
            (``data/train*.tfrecord``), to which the dataset.toml of their folder applies.
        num_classes: How many classes there are, as of a run, where neither labels nor a vocabulary show it.
        unit: ``"video"``, or ``"segment"``: every row of a batch is five seconds of a video, as YouTube-8M 2019 rates
            them. The splits that are trained, tuned and validated on are then those with ratings, or made of them.

    Raises:
        UsageError: An unknown unit.
        DataError: There is no such folder, no shards in it, or they are damaged, of no known layout, or of two levels
            or releases.
    """
    choose(dict.fromkeys(("video", "segment")), unit, what="unit")
    root, chosen = find_dataset(path)
    settings = schema.read_dataset_toml(root)
    found, notes = find_splits(root, settings, chosen)
    return divided(describe(root, settings, found, notes, num_classes, unit), partly=chosen is not None)


def describe(
    root: str,
    settings: DatasetSettings,
    found: Splits,
    notes: Iterable[str],
    num_classes: int | None = None,
    unit: str = "video",
) -> Dataset:
    """The data set of these splits, not yet `divided`, as dataset.toml declares it, and else as some records show it.

    Where only labels show how many classes there are, every record is read to count them; not if `num_classes` is 0.
    """
    layouts, notes = survey(root, found), list(notes)
    level, id_key = layouts[0].level, layouts[0].id_key
    if settings.level not in (None, level):
        declared = f"{DATASET_TOML} there declares {settings.level}"
        raise DataError(f"{root} holds {level}-level records, but {declared}. Correct it there.")
    if unit == "segment" and (level != "frame" or (settings.extractor or {}).get("fps", 1) != 1):
        needed = "Segments are taken of frame-level records with a frame a second"
        raise DataError(f"{needed}; those of {root} are others. Name such a data set.")
    declared = {each.key for each in settings.complete_features({}, root=root).values() if each.in_frames}
    seen: dict[str, Feature] = {}
    for layout in layouts:
        for name, each in layout.features.items():
            if (other := seen.setdefault(name, each)) != each and not declared:
                ways = " and ".join(f"{a.size} values ({a.coding}) under {a.key!r}" for a in (other, each))
                advice = f"Write all alike, or declare in {DATASET_TOML} the modalities to read."
                raise DataError(f"{root}: {name} is {ways} (in {layout.shard}). {advice}")
        # What an extractor quantized is bytes, whatever it looks like: still clips may repeat patterns.
        for key, problem in layout.problems.items() if not settings.extractor else ():
            if not declared or key in declared:
                raise DataError(f"{layout.shard}: in its first records, {problem}")
    # Largest first, so that video comes before audio, and one order wherever a dict's own is arbitrary.
    inferred = sorted(seen.values(), key=lambda each: (-each.size, each.name))
    features = settings.complete_features({each.name: each for each in inferred}, root=root)
    release = schema.release_of(id_key, features.values())
    vocabulary, remarks = schema.vocabulary_of(root, settings, release)
    given, num_classes, notes = num_classes, settings.num_classes, [*notes, *remarks]
    context = infer_context(root, layouts, vocabulary, num_classes)
    key = context.label_key
    labelled = frozenset(each.split for each in layouts if any(key in entries for entries in each.labels))
    rated = frozenset(each.split for each in layouts if {*records.SEGMENT_KEYS} <= each.keys)
    if unit == "segment":
        labelled = rated
    elif rated:
        splits = ", ".join(split for split in found if split in rated)
        notes.append(f'Rated segments, read by `unit="segment"`: {splits}.')
    if num_classes is None:
        shards = [shard for split in found if split in labelled for shard in found[split]]
        source = "one more than the highest label in the shards"
        if vocabulary:
            num_classes, source = vocabulary.num_classes, "the vocabulary's"
        elif given and not labelled:
            num_classes, source = given, "the one asked for, as there are no labels"
        elif context.vector:
            num_classes, source = context.vector, "the length of the labels"
        elif release:
            num_classes, source = release[1], f"that of {release[0]}, which the records look like"
        elif not shards:
            advice = f"Put the vocabulary.csv there, or a {DATASET_TOML} with num_classes."
            raise DataError(f"{root} has no labels, so its number of classes is unknown. {advice}")
        elif given == 0:
            num_classes = 0
        else:
            about = (level, tuple(features.values()), schema.MAX_CLASSES, True)
            parser = RecordParser(*about, context=context, unit=unit, rated=True)
            rows = _contexts_of(shards, parser, {})
            classes = {each for _, labels, asked in rows for each in (*labels, *(asked or ()))}
            num_classes = 1 + max(classes, default=0)
            source += "" if 0 in classes else "; no video is of class 0 (are they numbered from 1?)"
        notes += [f"The number of classes ({num_classes}) is {source}."] if num_classes else []
    names, *columns = vars(vocabulary).values() if vocabulary else ({}, {}, {})
    kinds, groups = (tuple(each.get(k, "") for k in range(num_classes)) if each else None for each in columns)
    if vocabulary and (named := sum(map(bool, names.values()))) != num_classes:
        notes.append(f"The vocabulary names {named:,} classes, the data set has {num_classes:,}.")
    notes += notes_on(layouts, labelled if unit == "video" else (), features, context)
    return Dataset(
        path=root,
        name=settings.name or posixpath.basename(root),
        level=level,
        features=features,
        num_classes=num_classes,
        class_names=tuple(names.get(each) or f"class {each}" for each in range(num_classes)),
        splits=dict(found),
        labelled=labelled,
        named=vocabulary is not None,
        notes=tuple(notes),
        generated=settings.generated,
        class_kinds=kinds,
        class_groups=groups,
        truth_files=settings.truth,
        counts=shard_counts(root, settings, found)[0],
        id_key=release and id_key,
        context=context,
        thumbnails=settings.thumbnails,
        media=tuple(settings.media),
        link=settings.link or (schema.LINKS.get(release[0]) if release else None),
        extractor=settings.extractor,
        segments=rated,
        unit=unit,
    )


def find_dataset(path: str | os.PathLike) -> tuple[str, list[str] | None]:
    """The folder of the data set that a path means, and its shards, None for all; `DataError` if nothing is there."""
    path = storage.readable_path(path)
    if storage.is_folder(path):
        return path, None
    if not is_remote(path):
        path = os.path.abspath(path)
    if storage.exists(path) or os.path.islink(path):
        shards = [path]
    else:
        # A pattern in a folder, whose own name may hold brackets.
        root = "" if is_remote(path) else posixpath.dirname(path)
        while root and not os.path.isdir(root):
            root = posixpath.dirname(root)
        matches = storage.match_shards(root, path.removeprefix(root).lstrip("/"))
        # If any of them is named like a shard, the others (a vocabulary) are none.
        shards = [*filter(storage.SHARD_SUFFIX.search, matches)] or matches
    if not shards:
        raise DataError(f"There is nothing at {path}. {ADVICE}")
    folders = [common_folder(shards)]
    for _ in range(storage.MAX_DEPTH):
        folders.append(posixpath.dirname(folders[-1]))
    described = (each for each in folders if storage.exists(posixpath.join(each, DATASET_TOML)))
    return next(described, None) or next(filter(schema.find_vocabularies, folders), folders[0]), shards


def find_splits(
    root: str, settings: DatasetSettings, chosen: Sequence[str] | None = None
) -> tuple[dict[str, tuple[str, ...]], tuple[str, ...]]:
    """Split → shards (of those chosen), by the patterns of dataset.toml or else by the shards' names; and notes."""
    owners, notes = {}, ()
    for split, patterns in settings.splits.items():
        for each in patterns:
            if not (matches := storage.match_shards(root, each)):
                where = f"which {DATASET_TOML} in {root} names for the split {split!r}"
                raise DataError(f"No shards match {each!r}, {where}. Put the shards there, or correct it.")
            for shard in matches:
                if owners.setdefault(shard, split) != split:
                    advice = f"Make the patterns in {root}/{DATASET_TOML} match different shards."
                    raise DataError(f"{shard} is in two splits, {owners[shard]!r} and {split!r}. {advice}")
    shards = sorted(owners if chosen is None else {*chosen})
    if chosen is None and not owners:
        shards, notes = storage.find_shards(root)
        if not shards:
            nothing = f"No shards (*.tfrecord) in {root}, {storage.MAX_DEPTH} levels deep."
            raise DataError(" ".join([nothing, *notes, ADVICE]))
    found = group_by_split(shards, root, owners)
    if chosen is None:
        notes = (*notes, *_missing_shards(root, settings, found))
    empty = [*filter(records.is_empty, shards)]
    if empty and not (settings.counts or settings.records_per_shard):  # where these do not miss the records
        notes = (*notes, f"Left aside, shards without records: {len(empty):,} ({empty[0]}).")
        if not (found := group_by_split([each for each in shards if each not in empty], root, owners)):
            raise DataError(f"The shards hold no records: {empty[0]} and the others are empty.")
    return found, notes


def _missing_shards(root: str, settings: DatasetSettings, found: Splits) -> Iterator[str]:
    """A note on shards that dataset.toml counts, or that the names of others number, and that are not there."""
    if missing := shard_counts(root, settings, found)[1]:
        yield f"{len(missing)} of the shards that {DATASET_TOML} counts are missing, as {missing[0]}."
    names = (re.search(r"^(.*)-\d+-of-(\d+)", shard) for shards in found.values() for shard in shards)
    for (name, total), count in Counter(match.groups() for match in names if match).items():
        if count < int(total):
            yield f"Of the {int(total):,} shards {name}-…-of-{total} only {count:,} are there."


def split_of(name: str, *, alone: bool = False) -> str | None:
    """The split that the name of a file or folder states: ``"split=Test"`` → test; `alone`: that is no more than it.

    Of hive's names ``key=value``, only a key that means splits makes the value one.
    """
    key, equals, _ = name.lower().rpartition("=")
    if equals and key not in ("split", "subset", "partition", "set"):
        return None
    for split, words in _SPLIT_WORDS.items():
        match = re.search(rf"(?<![a-z])({words}|{split}[a-z0-9]{{2}}$)(?![a-z])", name, re.IGNORECASE)
        if match and not (alone and match[0] != name):
            return split
    return None


def group_by_split(shards: Iterable[str], root: str, owners: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Split → shards: that of `owners`, or of the shard's or else the nearest folder's name, or else ``"train"``."""
    found: dict[str, list[str]] = {}
    for shard in shards:
        names = reversed(storage.SHARD_SUFFIX.sub("", shard.removeprefix(root)).strip("/").split("/"))
        stated = owners.get(shard) or next(filter(None, map(split_of, names)), "train")
        found.setdefault(stated, []).append(shard)
    return {split: tuple(found[split]) for split in SPLITS if split in found}


def shard_counts(root: str, settings: DatasetSettings, found: Splits) -> tuple[dict[str, int], list[str]]:
    """Shard → the records it should hold, where dataset.toml declares it, and the shards it counts that are missing."""
    there = {shard for shards in found.values() for shard in shards}
    counts = {}
    if settings.records_per_shard is not None:
        counts = {shard: settings.records_per_shard for shards in found.values() for shard in shards[:-1]}
    counts |= {posixpath.join(root, shard): count for shard, count in settings.counts.items()}
    return {shard: count for shard, count in counts.items() if shard in there}, sorted(counts.keys() - there)


def divided(dataset: Dataset, *, partly: bool = False) -> Dataset:
    """The same data in the splits that training needs, made of those there are; a note on all that was divided.

    Raises `DataError` where there are too few shards; of some chosen shards (`partly`) that is no more than a note.
    """
    found, root, labelled, notes = dict(dataset.splits), dataset.path, dataset.labelled, []
    carried = "labels" if dataset.unit == "video" else "rated segments"
    usable, few = [name for name in ("train", "validate") if name in labelled], None
    if len(usable) == 1 and len(found[usable[0]]) < MIN_SHARDS:
        few = (
            f"{root} has only one split with {carried} ({usable[0]}), of {counted(len(found[usable[0]]), 'shard')}; to "
            f"train, tune and validate takes at least {MIN_SHARDS}. Add shards, or another such split."
        )
    elif len(usable) == 2 and "tuning" not in labelled and len(found["train"]) < 2:
        advice = f"Write two or more, or name tuning shards in {DATASET_TOML}."
        few = f"{root} has a single training shard, none to spare for tuning. {advice}"
    if few and not partly:
        raise DataError(f"{few} To look at, evaluate or predict on them only, name the shards: '{root}/*'.")
    if few or not usable:
        notes = (f"Nothing can be trained on these shards alone: {few}",) if few else ()
        return replace(dataset, notes=dataset.notes + notes)
    for unused in ({*SPLITS[:3]} & found.keys()) - labelled:
        del found[unused]
        notes.append(f"The shards of the split {unused!r} carry no {carried} and are not used.")
    if len(usable) == 1:
        shards = found.pop(usable[0])
        found["train"], found["validate"] = _take_every(shards, 5)
        which = f"{'every fifth' if len(shards) >= 5 else 'the last'} of its {len(shards)} shards validates"
        notes.append(f"Only the split {usable[0]!r} carries {carried}: {which} ({len(found['validate'])}).")
    if "tuning" not in found:
        shards = found["train"]
        found["train"], found["tuning"] = _take_every(shards, 10)
        which = f"{'Every tenth' if len(shards) >= 10 else 'The last'} of {len(shards)} training shards"
        notes.append(f"{which} is kept for tuning ({len(found['tuning'])}).")
    labelled = labelled & found.keys() | {*SPLITS[:3]}
    splits = {name: found[name] for name in SPLITS if name in found}
    rated = {shard for split in dataset.segments for shard in dataset.splits[split]}
    segments = frozenset(split for split, shards in splits.items() if rated & {*shards})
    notes = (*dataset.notes, *notes)
    return replace(dataset, splits=splits, labelled=labelled, segments=segments, notes=notes)


def _take_every(shards: Sequence[str], step: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The shards that stay, and every ``step``-th of them (the last one where there are fewer)."""
    taken = shards[step - 1 :: step] or shards[-1:]
    return tuple(shard for shard in shards if shard not in taken), tuple(taken)
