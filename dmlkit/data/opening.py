"""Opening a folder: what dataset.toml says, and what the records tell where it says nothing."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Mapping

from dmlkit.data import messages
from dmlkit.data.declaration import FILE, Declaration, read_declaration
from dmlkit.data.faults import where
from dmlkit.data.framing import read_records
from dmlkit.data.labels import read_context
from dmlkit.data.layout import Layout, recognise
from dmlkit.data.schema import TEXT, TEXT_SIZE, Dataset, Feature
from dmlkit.data.shards import first_records, list_shards, match_shards
from dmlkit.data.splits import by_split, divide
from dmlkit.data.videos import NOT_AN_EXAMPLE
from dmlkit.data.vocabulary import Vocabulary, vocabulary_of
from dmlkit.errors import DataError

# The releases one meets without their vocabulary beside them: key in the records, its size, the id's key → classes.
RELEASES = {
    ("mean_rgb", 1024, "video_id"): ("YouTube-8M 2017", 4716),
    ("rgb", 1024, "video_id"): ("YouTube-8M 2017", 4716),
    ("mean_rgb", 1024, "id"): ("YouTube-8M 2018", 3862),
    ("rgb", 1024, "id"): ("YouTube-8M 2018", 3862),
    ("audio_embedding", 128, "video_id"): ("AudioSet", 527),
}


def as_dataset(data: str | os.PathLike | Dataset) -> Dataset:
    """The data set itself, or the one at a path, opened."""
    return open_dataset(data) if isinstance(data, str | os.PathLike) else data


def open_dataset(path: str | os.PathLike) -> Dataset:
    """Open a folder of shards, with or without a dataset.toml.

    Where there is none, level, modalities and their sizes are read off the first records, splits off the names of
    files and folders, classes off the vocabulary. Where only one split has labels, every fifth of its shards
    validates; where there is no tuning part, every tenth training shard is one. `Dataset.notes` says what was done.

    Args:
        path: The folder, local or anything ``tf.io.gfile`` knows.

    Raises:
        DataError: There is no such folder, no shards in it, or they are damaged or of no known layout.
    """
    root = os.fspath(path).rstrip("/") or "/"
    declared = read_declaration(root)
    notes: list[str] = []
    if declared.splits:
        found = {
            split: match_shards(root, patterns, split=split) for split, patterns in declared.splits.items()
        }
        _check_apart(root, found)
    else:
        found = by_split(list_shards(root), root)
    layouts = {split: recognise(shards) for split, shards in found.items()}
    labelled = frozenset(split for split, layout in layouts.items() if layout.labelled)
    level, features = _level_and_features(root, declared, layouts)
    vocabulary = vocabulary_of(root, declared.vocabulary)
    num_classes = declared.num_classes
    if num_classes is None:
        num_classes, note = _count_classes(root, vocabulary, found, labelled, features)
        notes.append(note)
    texts = {key for layout in layouts.values() for key in layout.texts}
    if aside := sorted(texts - {feature.key for feature in features.values()}):
        notes.append(
            f"The records carry {', '.join(aside)}, which is left aside: `[features.{aside[0]}]` with "
            f'`size = {TEXT_SIZE}` and `coding = "{TEXT}"` in {FILE} makes it a modality.'
        )
    splits, labelled, divided = divide(found, labelled, root)
    counts, missing = counted_shards(root, declared, found)
    if missing:
        notes.append(
            f"{FILE} counts {len(missing)} more shards, {missing[0]} among them, which are not there."
        )
    return Dataset(
        path=root,
        name=declared.name or posixpath.basename(root),
        level=level,
        features=features,
        num_classes=num_classes,
        class_names=(vocabulary or Vocabulary({}, {})).class_names(num_classes),
        splits=splits,
        labelled=labelled,
        notes=(*notes, *divided),
        generated=declared.generated,
        class_kinds=vocabulary.class_kinds(num_classes) if vocabulary else None,
        records_per_shard=declared.records_per_shard,
        truth_files=declared.truth,
        counts=counts,
    )


def counted_shards(
    root: str, declared: Declaration, found: Mapping[str, Iterable[str]]
) -> tuple[dict[str, int], list[str]]:
    """What dataset.toml counts, by the shards' paths, and the paths it counts of shards that are not there.

    Args:
        root: The data set's folder.
        declared: Its dataset.toml.
        found: Split → shards.
    """
    counts = {posixpath.join(root, shard): count for shard, count in declared.counts.items()}
    there = {shard for shards in found.values() for shard in shards}
    kept = {shard: count for shard, count in counts.items() if shard in there}
    return kept, sorted(counts.keys() - kept.keys())


def _check_apart(root: str, found: dict[str, tuple[str, ...]]) -> None:
    homes: dict[str, str] = {}
    for split, shards in found.items():
        for shard in shards:
            if homes.setdefault(shard, split) != split:
                raise DataError(
                    f"{shard} is in two splits, {homes[shard]!r} and {split!r}: what is measured on the one would have "
                    f"been learnt from the other. Make the patterns in {root}/{FILE} match different shards."
                )


def _level_and_features(
    root: str, declared: Declaration, layouts: dict[str, Layout]
) -> tuple[str, dict[str, Feature]]:
    levels = {layout.level for layout in layouts.values()}
    if declared.level is not None:
        levels.add(declared.level)
    if len(levels) > 1:
        said = f"{FILE} says {declared.level}" if declared.level else "the splits differ"
        raise DataError(
            f"{root} mixes frame-level and video-level records ({said}). Open the folder of one level, or name "
            f"its shards in {FILE}."
        )
    features: dict[str, Feature] = {}
    for layout in layouts.values():
        features |= {name: feature for name, feature in layout.features.items() if name not in features}
    return levels.pop(), declared.features_with(features)


def _count_classes(
    root: str,
    vocabulary: Vocabulary | None,
    found: dict[str, tuple[str, ...]],
    labelled: frozenset[str],
    features: dict[str, Feature],
) -> tuple[int, str]:
    if vocabulary:
        return (
            vocabulary.num_classes,
            f"The number of classes ({vocabulary.num_classes}) is the vocabulary's.",
        )
    first = messages.SequenceExample.FromString(first_records(next(iter(found.values())), 1)[0])
    if known := release_of(first, features.values()):
        release, num_classes = known
        return num_classes, f"The records look like {release}'s, so there are {num_classes} classes."
    if not labelled:
        raise DataError(
            f"{root} has neither labels nor a vocabulary, so its number of classes is not to be known. Put the "
            f"vocabulary.csv there, or a {FILE} with num_classes."
        )
    num_classes = 1 + max(_highest_label(found[split]) for split in labelled)
    return (
        num_classes,
        f"The number of classes ({num_classes}) is one more than the highest label in the shards.",
    )


def release_of(record: messages.SequenceExample, features: Iterable[Feature]) -> tuple[str, int] | None:
    """The release that a data set's features and one of its records look like, and its number of classes."""
    id_key = "video_id" if "video_id" in record.context.feature else "id"
    return next((known for each in features if (known := RELEASES.get((each.key, each.size, id_key)))), None)


def _highest_label(shards: tuple[str, ...]) -> int:
    highest = -1
    for shard in shards:
        for number, record in enumerate(read_records(shard)):
            try:
                # A SequenceExample's context is where an Example's features are, so this reads both.
                _, labels = read_context(messages.Example.FromString(record).features)
            except Exception as error:
                raise DataError(f"{where(shard, number)}: {NOT_AN_EXAMPLE}") from error
            highest = max(highest, *labels, -1)
    return highest
