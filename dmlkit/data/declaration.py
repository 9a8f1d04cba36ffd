"""dataset.toml: what a data set says of itself. Everything it leaves out is read off the records."""

from __future__ import annotations

import json
import posixpath
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dmlkit.data.files import exists, read_whole, write_whole
from dmlkit.data.schema import LEVELS, SPLITS, TEXT, Feature
from dmlkit.errors import DataError, nearest
from dmlkit.text import shorten

FILE = "dataset.toml"
_KEYS = {
    "name": str,
    "level": str,
    "num_classes": int,
    "vocabulary": str,
    "generated": bool,
    "records_per_shard": int,
    "features": dict,
    "splits": dict,
    "truth": dict,
    "counts": dict,
}
_FEATURE_KEYS = ("size", "coding", "key")


@dataclass(frozen=True)
class Declaration:
    """The entries of a dataset.toml; None or empty where it has none.

    ``counts`` says how many records each shard holds, by its path in the folder: a file cut exactly between two
    records is a shard like any other, and nothing but such a number tells.
    """

    name: str | None = None
    level: str | None = None
    num_classes: int | None = None
    vocabulary: str | None = None
    generated: bool = False
    records_per_shard: int | None = None
    features: dict[str, Feature] = field(default_factory=dict)
    splits: dict[str, list[str]] = field(default_factory=dict)
    truth: dict[str, str] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def features_with(self, found: Mapping[str, Feature]) -> dict[str, Feature]:
        """The data set's modalities: those declared; where only texts are, beside those read off the records.

        Args:
            found: What the records tell. They never tell that a text is a modality: what would be trained on two
                would be trained on three.
        """
        if all(feature.coding == TEXT for feature in self.features.values()):
            return {**found, **self.features}
        return self.features


def read_declaration(root: str) -> Declaration:
    """Read a folder's dataset.toml; an empty declaration where there is none.

    Raises:
        DataError: It is not TOML, or an entry is unknown or of the wrong kind.
    """
    path = posixpath.join(root, FILE)
    if not exists(path):
        return Declaration()
    try:
        entries = tomllib.loads(read_whole(path).decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not valid TOML: {error}. Correct it there.") from None
    for key, value in entries.items():
        if key not in _KEYS:
            raise DataError(
                f"{path}: unknown entry {shorten(key)!r}.{nearest(key, _KEYS)} It may have: {', '.join(_KEYS)}."
            )
        kind = _KEYS[key]
        if not isinstance(value, kind) or (kind is int and (isinstance(value, bool) or value < 1)):
            raise DataError(f"{path}: {key} must be {_KINDS[kind]}. Received: {shorten(repr(value))}.")
    level = entries.get("level")
    if level is not None and level not in LEVELS:
        raise DataError(
            f"{path}: level must be one of {', '.join(LEVELS)}. Received: {shorten(repr(level))}."
            f"{nearest(level, LEVELS)}"
        )
    entries["features"] = {
        name: _feature(path, name, table, level) for name, table in entries.get("features", {}).items()
    }
    entries["splits"] = {
        split: _patterns(path, split, patterns) for split, patterns in entries.get("splits", {}).items()
    }
    for shard, count in entries.get("counts", {}).items():
        if isinstance(count, bool) or not isinstance(count, int) or count < 0:
            raise DataError(
                f"{path}: the count of {shorten(shard, 80)!r} must be a whole number, the records it holds. "
                f"Received: {shorten(repr(count))}."
            )
    return Declaration(**entries)


def write_dataset_toml(
    folder: str,
    *,
    name: str,
    level: str,
    features: Mapping[str, Feature],
    num_classes: int,
    splits: Mapping[str, Sequence[str]],
    vocabulary: str | None = None,
    generated: bool = False,
    records_per_shard: int | None = None,
    truth: Mapping[str, str] | None = None,
    counts: Mapping[str, int] | None = None,
) -> str:
    """Write a folder's dataset.toml; the file appears whole or not at all.

    Args:
        folder: The data set's folder; all names in the file are relative to it.
        name: What reports call the data set.
        level: ``"video"`` or ``"frame"``.
        features: The modalities by name.
        num_classes: How many classes.
        splits: Split → patterns of its shards.
        vocabulary: The file of class names.
        generated: Whether the data were generated.
        records_per_shard: What every shard but a split's last holds.
        truth: Split → the file of the frames that made each label.
        counts: Shard, by its path in the folder → the records it holds. `write_shard` returns them.

    Returns:
        The path of the file.
    """
    folder = str(folder)
    scalars = {"name": name, "level": level, "num_classes": num_classes, "vocabulary": vocabulary}
    scalars |= {"generated": generated, "records_per_shard": records_per_shard}
    lines = [f"{key} = {_toml(value)}" for key, value in scalars.items() if value is not None]
    for feature in features.values():
        lines += ["", f"[features.{_toml(feature.name)}]"]
        lines += [f"{key} = {_toml(getattr(feature, key))}" for key in _FEATURE_KEYS]
    lines += ["", "[splits]", *(f"{split} = {_toml(list(patterns))}" for split, patterns in splits.items())]
    if truth:
        lines += ["", "[truth]", *(f"{split} = {_toml(file)}" for split, file in truth.items())]
    if counts:
        lines += ["", "[counts]", *(f"{_toml(shard)} = {count}" for shard, count in counts.items())]
    path = posixpath.join(folder, FILE)
    write_whole(path, ("\n".join(lines) + "\n").encode())
    return path


_KINDS = {str: "a text", int: "a whole number above 0", bool: "true or false", dict: "a table"}


def _feature(path: str, name: str, table: object, level: str | None) -> Feature:
    if not isinstance(table, dict) or "size" not in table:
        raise DataError(
            f"{path}: [features.{shorten(name)}] must be a table with at least `size`. "
            f"Received: {shorten(repr(table))}."
        )
    for key in table:
        if key not in _FEATURE_KEYS:
            raise DataError(
                f"{path}: unknown entry {shorten(key)!r} in [features.{shorten(name)}].{nearest(key, _FEATURE_KEYS)} "
                f"It may have: {', '.join(_FEATURE_KEYS)}."
            )
    video = level == "video"
    coding = table.get("coding", "float" if video else "byte")
    if video and coding == "byte":
        raise DataError(
            f"{path}: [features.{shorten(name)}] is byte-coded, but video-level records hold floats. Correct coding."
        )
    mean = video and coding != TEXT
    return Feature(name, table["size"], coding, table.get("key", f"mean_{name}" if mean else name))


def _patterns(path: str, split: str, patterns: object) -> list[str]:
    if split not in SPLITS:
        raise DataError(
            f"{path}: unknown split {shorten(split)!r}.{nearest(split, SPLITS)} There are: {', '.join(SPLITS)}."
        )
    if isinstance(patterns, str):
        patterns = [patterns]
    if not isinstance(patterns, list) or not patterns or not all(isinstance(each, str) for each in patterns):
        raise DataError(
            f"{path}: the split {split!r} must be a list of patterns. Received: {shorten(repr(patterns))}."
        )
    return patterns


def _toml(value: object) -> str:
    # JSON's texts, numbers, truth values and lists are TOML's too, for what is written here.
    return json.dumps(value, ensure_ascii=False)
