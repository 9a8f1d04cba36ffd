"""What is to be checked: each folder a data set; single shards by the data set that they lie in.

Opens what `open_dataset` refuses, as long as some record can be read: damaged first records, too few shards to divide.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

from dmlkit.data import protos
from dmlkit.data import records as files
from dmlkit.data.checking.shards import Expected
from dmlkit.data.opening import group_by_split, infer_layout, release_of, shard_counts
from dmlkit.data.protos import parse_record
from dmlkit.data.records import MAX_DEPTH, list_shards, match_shards, scan_records
from dmlkit.data.schema import DATASET_TOML, DatasetSettings, Vocabulary, find_vocabulary, read_dataset_toml, vocabulary_of
from dmlkit.errors import DataError, UsageError

# A layout is read off the first records of so many shards, spread over all there are.
SHARDS_LOOKED_AT, RECORDS_LOOKED_AT = 16, 4
# Good records are looked for no further than this in a damaged shard.
_FURTHEST = 64


@dataclass(frozen=True)
class Target:
    """One data set, or some shards of one.

    Attributes:
        path: The folder.
        name: What reports call it.
        splits: Name → shards.
        expected: What the records should hold.
        release: ``"YouTube-8M 2018"``, ...; None where it is one's own.
        class_names: A name a class; empty where their number is not known.
        exactly: Shard → the records it should have.
        at_most: Shard → the records it may have.
        missing: Shards that dataset.toml counts and that are not there.
    """

    path: str
    name: str
    splits: dict[str, tuple[str, ...]]
    expected: Expected
    release: str | None
    class_names: tuple[str, ...]
    exactly: dict[str, int]
    at_most: dict[str, int]
    missing: tuple[str, ...] = ()


def find_targets(paths: Iterable[str | os.PathLike]) -> list[Target]:
    """What lies at some paths.

    Args:
        paths: Folders, or single shards; those of one data set are put together.

    Raises:
        UsageError: There is no path.
        DataError: There is nothing at a path, no shard in a folder, or its dataset.toml is wrong.
    """
    targets: dict[str, list[str] | None] = {}
    for path in (os.fspath(path) for path in paths):
        if files.is_folder(path):
            targets[path.rstrip("/") or "/"] = None
        elif files.exists(path):
            shards = targets.setdefault(_home(path), [])
            if shards is not None:  # else the whole folder is checked anyway
                shards.append(path)
        else:
            raise DataError(f"There is nothing at {path}. Give the folder of a data set, or a shard.")
    if not targets:
        raise UsageError("Nothing to check was named. Give the folder of a data set, or shards.")
    return [_target(root, shards) for root, shards in targets.items()]


def _home(shard: str) -> str:
    """The nearest folder above a shard that says something of it, or else the one it lies in."""
    folder = lone = posixpath.dirname(shard)
    for _ in range(MAX_DEPTH + 1):
        if files.exists(posixpath.join(folder, DATASET_TOML)) or find_vocabulary(folder):
            return folder
        if folder in ("", posixpath.dirname(folder)):
            break
        folder = posixpath.dirname(folder)
    return lone


def _target(root: str, shards: list[str] | None) -> Target:
    declared = read_dataset_toml(root)
    splits = _splits(root, declared) if shards is None else group_by_split(sorted(set(shards)), root)
    counts, missing = shard_counts(root, declared, splits)
    at_most = {}
    if declared.records_per_shard is not None and shards is None:
        for each in splits.values():
            counts = dict.fromkeys(each[:-1], declared.records_per_shard) | counts
            at_most[each[-1]] = declared.records_per_shard
    records = _looked_at([shard for each in splits.values() for shard in each])
    layout = infer_layout(records)
    release, classes = (layout and release_of(records[0], layout.features.values())) or (None, None)
    vocabulary = vocabulary_of(root, declared)
    if declared.num_classes is not None:
        classes = declared.num_classes
    elif vocabulary:
        classes = vocabulary.num_classes
    level = declared.level or (layout.level if layout else None)
    features = declared.complete_features(layout.features if layout else {})
    return Target(
        path=root,
        name=declared.name or posixpath.basename(root) or root,
        splits=splits,
        expected=Expected(level if features else None, tuple(features.values()), classes),
        release="generated data" if declared.generated else release,
        class_names=(vocabulary or Vocabulary({}, {})).class_names(classes or 0),
        exactly=counts,
        at_most=at_most,
        missing=tuple(missing) if shards is None else (),
    )


def _splits(root: str, declared: DatasetSettings) -> dict[str, tuple[str, ...]]:
    if not declared.splits:
        return group_by_split(list_shards(root), root)
    return {split: match_shards(root, patterns, split=split) for split, patterns in declared.splits.items()}


def _looked_at(shards: Sequence[str]) -> list[protos.SequenceExample]:
    """Some good records, from all over the data set; from further on where the first shards give none."""
    step = max(1, len(shards) // SHARDS_LOOKED_AT)
    chosen = shards[::step]
    found = [record for shard in chosen for record in _first_good(shard)]
    for shard in shards if not found else ():
        if found := _first_good(shard):
            break
    return found


def _first_good(shard: str) -> list[protos.SequenceExample]:
    found: list[protos.SequenceExample] = []
    try:
        for framed in islice(scan_records(shard), _FURTHEST):
            if framed.error is None:
                try:
                    found.append(parse_record(framed.data))
                except Exception:  # another kind of file, or damaged: told when the shard is checked
                    continue
            if len(found) == RECORDS_LOOKED_AT:
                break
    except DataError:  # told when the shard is checked
        pass
    return found
