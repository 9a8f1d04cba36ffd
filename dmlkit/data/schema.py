"""What a data set is made of: modalities and how they are coded, splits, class names; dataset.toml, which declares all
that, and the vocabularies.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
import posixpath
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from dmlkit.data.storage import exists, match_paths, open_to_write, read_bytes
from dmlkit.errors import DataError, nearest, one_line, shorten
from dmlkit.paths import is_remote

SPLITS = ("train", "tuning", "validate", "test")
TEXT = "text"
TEXT_SIZE = 512  # default size of a bag of tokens: room for a title's words, not for a language's
MAX_TEXT_SIZE = 1 << 20  # a bag takes this memory for every video
MAX_CLASSES = 1_000_000  # a name each is kept
DATASET_TOML = "dataset.toml"
FRAMES_APART = 2  # extractors of two modalities may differ by so many frames in a video, at its end

# YouTube-8M's byte coding.
SCALE = 4.0 / 255.0
OFFSET = 4.0 / 512.0 - 2.0
ZERO_BYTE = 127  # decodes to -0.00003: the value of a missing modality's frames

# Releases without a vocabulary of their own: key in the records, its size, the id's key → name, classes.
RELEASES = {
    ("mean_rgb", 1024, "video_id"): ("YouTube-8M 2017", 4716),
    ("rgb", 1024, "video_id"): ("YouTube-8M 2017", 4716),
    ("mean_rgb", 1024, "id"): ("YouTube-8M 2018", 3862),
    ("rgb", 1024, "id"): ("YouTube-8M 2018", 3862),
    ("audio_embedding", 128, "video_id"): ("AudioSet", 527),
}
# Releases whose ids are YouTube's: those of YouTube-8M's records are not.
LINKS = {"AudioSet": "https://www.youtube.com/watch?v={id}&t={second}s"}


def dequantize(quantized: np.ndarray) -> np.ndarray:
    """Bytes (uint8, any shape) to values between -1.9921875 and 2.0078125 (float32, same shape).

    Paper: §Task and data, dequantisation of a byte q: q * 4/255 + 4/512 - 2.
    """
    return np.asarray(quantized).astype(np.float32) * np.float32(SCALE) + np.float32(OFFSET)


def quantize(values: np.ndarray) -> np.ndarray:
    """Values (any shape) to the nearest byte (uint8, same shape); those outside the coding's range are clipped.

    ``quantize(dequantize(q)) == q`` for every byte. Raises `ValueError` for NaN, which no byte can stand for.
    """
    values = np.asarray(values, dtype=np.float64)
    if np.isnan(values).any():
        raise ValueError(f"`values` must not hold NaN, which no byte codes. Received: shape {values.shape}.")
    return np.clip(np.rint((values - OFFSET) / SCALE), 0, 255).astype(np.uint8)


MOST_CLIPPED = 0.01  # of the values converted to bytes; more are not values that this coding is for


def count_clipped(values: np.ndarray) -> int:
    """How many values `quantize` clips: those more than half a step outside the range of bytes, -1.992 to 2.008."""
    places = (np.asarray(values, np.float64) - OFFSET) / SCALE
    return int(np.count_nonzero((places < -0.5 - 1e-4) | (places > 255.5 + 1e-4)))


@dataclass(frozen=True)
class Feature:
    """One modality: its name, the values a frame (or a video) has, how they are coded, and its key in the records.

    Coded as ``"byte"`` (to be dequantised), ``"float"``, or ``"text"``: texts, read as a bag of `size` hashed tokens,
    one a video at either level.
    """

    name: str
    size: int
    coding: str
    key: str

    @property
    def in_frames(self) -> bool:
        """Whether each frame has its own, at frame level."""
        return self.coding != TEXT


Positive = Annotated[int, Field(gt=0)]
Several = BeforeValidator(lambda value: [value] if isinstance(value, str) else value)
Patterns = Annotated[list[str], Several]
ByVideo = Annotated[str, Field(pattern=r"\{id\}")]  # "videos/{id}.mp4"


class FeatureSettings(BaseModel):
    """A table ``[features.NAME]`` of dataset.toml; what it leaves out follows from the level."""

    model_config = ConfigDict(extra="forbid", strict=True)
    size: Positive
    coding: Literal["byte", "float", TEXT] | None = None
    key: str | None = None


class ThumbnailSettings(BaseModel):
    """The table ``[thumbnails]`` of dataset.toml: a picture a frame, or a sprite of tiles, row by row, one a frame."""

    model_config = ConfigDict(extra="forbid", strict=True)
    path: ByVideo  # of a sprite; with a *, of pictures in their natural order
    width: Positive | None = None  # of a sprite's tile, in pixels
    height: Positive | None = None
    columns: Positive | None = None

    @model_validator(mode="after")
    def _check_tiles(self):
        if "*" not in self.path and None in (self.width, self.height, self.columns):
            raise ValueError(
                "a sprite takes width and height of a tile, and columns; pictures take a * in path"
            )
        return self


class DatasetSettings(BaseModel):
    """The entries of a dataset.toml. Everything it leaves out is read off the records."""

    model_config = ConfigDict(extra="forbid", strict=True)
    name: str | None = None
    level: Literal["video", "frame"] | None = None
    num_classes: Annotated[int, Field(gt=0, le=MAX_CLASSES)] | None = None
    vocabulary: str | None = None  # the file of class names
    generated: bool = False
    records_per_shard: Positive | None = None  # in every shard but a split's last
    features: dict[str, FeatureSettings] = {}
    splits: dict[Literal[SPLITS], Annotated[Patterns, Field(min_length=1)]] = {}  # patterns of the shards
    truth: dict[str, str] = {}  # split → the file of the frames that made each label
    thumbnails: ThumbnailSettings | None = None
    media: Annotated[
        list[ByVideo], Several
    ] = []  # patterns of a video or audio file, the first that is there
    link: Annotated[str, Field(pattern=r"^https?://.*\{id\}")] | None = (
        None  # the page of a video, at {second}
    )
    extractor: dict[str, str | int | float | bool] | None = (
        None  # the recipe of the features, if extracted here
    )
    # Shard, by its path in the folder → its records: the only sign of a file cut exactly between two records.
    counts: dict[str, Annotated[int, Field(ge=0)]] = {}

    @model_validator(mode="after")
    def _check_extractor(self):
        name, fps = ((self.extractor or {}).get(*each) for each in (("projection", "file"), ("fps", 1)))
        if not isinstance(fps, int | float) or not 0 < fps < math.inf:
            raise ValueError("extractor.fps is the number of frames a second, above 0")
        if not isinstance(name, str) or posixpath.basename(name) != name or name in ("", ".", ".."):
            raise ValueError("extractor.projection names a file beside this one")
        return self

    @model_validator(mode="after")
    def _check_features(self):
        for name, feature in self.features.items():
            if self.level == "video" and feature.coding == "byte":
                raise ValueError(f"[features.{name}] is byte-coded, but video-level records hold floats")
            if feature.coding == TEXT and feature.size > MAX_TEXT_SIZE:
                raise ValueError(f"[features.{name}].size may be at most {MAX_TEXT_SIZE:,} for a text")
        return self

    def complete_features(self, inferred: Mapping[str, Feature], *, root: str) -> dict[str, Feature]:
        """The data set's modalities: those declared; if only texts are, also those inferred from the records.

        A text in the records is never a modality by itself: data of two modalities would become data of three. Raises
        `DataError` where the records have a declared modality under another key.
        """
        video, declared = self.level == "video", {}
        for name, each in self.features.items():
            coding = each.coding or ("float" if video else "byte")
            key = each.key or ("mean_" if video and coding != TEXT else "") + name
            declared[name] = Feature(name, each.size, coding, key)
        keys = {feature.key for feature in inferred.values()}
        own = {feature.key for feature in declared.values()}
        for name, each in declared.items():
            found = [other for other in inferred.values() if other.size == each.size and other.key not in own]
            if each.in_frames and each.key not in keys and found:
                what = f"[features.{name}] is read from the key {each.key!r}, which the records do not have"
                other = f'They have {found[0].key!r}, of the same size: add `key = "{found[0].key}"` there.'
                raise DataError(f"{root}/{DATASET_TOML}: {what}. {other}")
        texts_only = not any(feature.in_frames for feature in declared.values())
        return {**inferred, **declared} if texts_only else declared


def read_dataset_toml(root: str) -> DatasetSettings:
    """Read a folder's dataset.toml; empty settings where there is none. Raises `DataError` that names the entry."""
    path = posixpath.join(root, DATASET_TOML)
    if not exists(path):
        return DatasetSettings()
    try:
        return DatasetSettings(**tomllib.loads(read_bytes(path).decode("utf-8-sig")))
    except ValidationError as error:
        raise DataError(f"{path}: {_describe(error.errors()[0])}") from None
    except ValueError as error:
        raise DataError(f"{path} is not valid TOML: {error}. Correct it there.") from None


def _describe(problem: dict) -> str:
    """One of pydantic's errors as a sentence: where, what is expected and what was received."""
    *table, entry = map(str, problem["loc"] or ("the file",))
    place = shorten(".".join((*table, entry)).removesuffix(".[key]"), 80)
    if problem["type"] == "extra_forbidden":
        tables = {"features": FeatureSettings, "thumbnails": ThumbnailSettings}
        known = (tables[table[0]] if table else DatasetSettings).model_fields
        return f"unknown entry {place!r}.{nearest(entry, known)} It may have: {', '.join(known)}."
    received = problem["input"]
    hint = nearest(received, re.findall(r"'(\w+)'", str(problem.get("ctx", {}).get("expected", ""))))
    message = problem["msg"].removeprefix("Value error, ").replace("Input should be", "it should be")
    shown = "" if problem["type"] in ("missing", "value_error") else f" Received: {shorten(repr(received))}."
    return f"{place}: {message}.{shown}{hint} Correct it there."


def write_dataset_toml(folder: str, *, features: Mapping[str, Feature], **entries) -> str:
    """Write a folder's dataset.toml and return its path; the file appears whole or not at all.

    Args:
        folder: The data set's folder; all names in the file are relative to it.
        features: The modalities by name.
        entries: The other attributes of `DatasetSettings`; None leaves one out, `ValueError` for any other.
    """
    tables = {name: {"size": f.size, "coding": f.coding, "key": f.key} for name, f in features.items()}
    entries = {key: value for key, value in entries.items() if value is not None}
    settings = DatasetSettings(features=tables, **entries).model_dump(exclude_defaults=True)
    nested = {f"features.{_key(name)}": table for name, table in settings.pop("features").items()}
    nested |= {key: value for key, value in settings.items() if isinstance(value, dict)}
    lines = [f"{key} = {_toml(value)}" for key, value in settings.items() if key not in nested]
    for name, table in nested.items():
        lines += ["", f"[{name}]", *(f"{_key(key)} = {_toml(value)}" for key, value in table.items())]
    path = posixpath.join(str(folder), DATASET_TOML)
    with open_to_write(path) as file:
        file.write(("\n".join(lines) + "\n").encode())
    return path


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _toml(name)


# JSON's strings, numbers, booleans and lists are TOML's too, for what is written here.
_toml = partial(json.dumps, ensure_ascii=False)


VOCABULARIES = ("vocabulary.csv", "label_names.csv", "label_names_2018.csv", "class_labels_indices.csv")
_LIKE_VOCABULARIES = ("*vocabulary.csv", "label_names*.csv", "class_labels*.csv")
# Columns of a vocabulary, in any case.
_INDEX_COLUMNS, _NAME_COLUMNS = ("index", "label_id"), ("name", "display_name", "label_name")
_GROUP_COLUMNS = ("group", "vertical1")  # the latter in YouTube-8M's


@dataclass(frozen=True)
class Vocabulary:
    """The contents of a vocabulary file: class → name, and class → kind and group where there are such columns."""

    names: Mapping[int, str]
    kinds: Mapping[int, str]
    groups: Mapping[int, str]

    @property
    def num_classes(self) -> int:
        """One more than the highest class named."""
        return max(self.names) + 1


def find_vocabularies(root: str) -> list[str]:
    """The paths of vocabulary files in a folder by their usual names, the best known first."""
    known = [posixpath.join(root, name) for name in VOCABULARIES]
    found = match_paths(root, *_LIKE_VOCABULARIES)
    return [path for path in known if path in found] + [path for path in found if path not in known]


def vocabulary_of(
    root: str, settings: DatasetSettings, release: tuple[str, int] | None
) -> tuple[Vocabulary | None, list[str]]:
    """The vocabulary of a data set: the file that its dataset.toml names, else one in its folder, else that of its
    release in a folder above (as Kaggle lays it out), else None; and notes.

    Of several it is the one of as many classes as the data set. Raises `DataError` where that leaves none or several,
    or a vocabulary is that of another release than the records.
    """
    paths = [posixpath.join(root, settings.vocabulary)] if settings.vocabulary else find_vocabularies(root)
    above = release is not None and not paths and not is_remote(root)
    if above:
        folders = (os.path.abspath(f"{root}/{up}") for up in ("..", "../..", "../../.."))
        paths = next(filter(None, map(find_vocabularies, folders)), [])
    found = {path: read_vocabulary(path) for path in paths}
    listed = ", ".join(f"{posixpath.basename(path)} ({each.num_classes:,})" for path, each in found.items())
    alone, expected = len(found) == 1 and not above, settings.num_classes or (release and release[1])
    fitting = [each for each in found.items() if alone or expected in (None, each[1].num_classes)]
    if found and not above and len({each.num_classes for _, each in fitting}) != 1:
        what = f"{root} has several vocabularies, {listed}, and the number of classes does not show which is meant"
        raise DataError(f'{what}. Leave one there, or name it in {DATASET_TOML}: `vocabulary = "FILE"`.')
    for path, vocabulary in fitting:
        count = vocabulary.num_classes
        others = [name for name, size in RELEASES.values() if size == count]
        if release and others and release[0] not in others and count != settings.num_classes:
            what = f"the records are of {release[0]}, which has {release[1]:,}. Put its vocabulary there."
            raise DataError(f"{path} names {count:,} classes, those of {others[0]}, but {what}")
        return vocabulary, [] if alone else [f"Class names come from {path}, of {listed}."]
    return None, []


def read_vocabulary(path: str) -> Vocabulary:
    """Read YouTube-8M's vocabulary (2018), its label names (2017), AudioSet's class labels, or our own."""
    if not exists(path):
        raise DataError(f"There is no vocabulary {path}. Add it, or correct `vocabulary` in {DATASET_TOML}.")
    try:
        text = read_bytes(path).decode("utf-8-sig")
        separator = max(",;\t", key=text.partition("\n")[0].count)
        rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
        columns = rows.fieldnames = [column.strip().lower() for column in rows.fieldnames or ()]
        table = [(rows.line_num, row) for row in rows]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is no CSV in UTF-8: {error}. Save it as such.") from None
    index = next((name for name in _INDEX_COLUMNS if name in columns), None)
    label = next((name for name in _NAME_COLUMNS if name in columns), None)
    if index is None or label is None:
        raise DataError(
            f"{path} is not a vocabulary: its first line must name a column of class numbers "
            f"({', '.join(_INDEX_COLUMNS)}) and one of names ({', '.join(_NAME_COLUMNS)}). It names: "
            f"{shorten(', '.join(columns), 200) or 'none'}."
        )
    group = next((name for name in _GROUP_COLUMNS if name in columns), None)
    names, kinds, groups = {}, {}, {}
    for line, row in table:
        if any(row.get(None, ())):
            what = "there are more cells than columns (a comma takes quotation marks)"
        elif not re.fullmatch(r"\s*\d{1,6}\s*", row[index] or ""):
            what = f"{shorten(row[index])!r} is no class number"
        elif (number := int(row[index])) in names:
            what = f"class {number} comes twice"
        else:
            names[number] = one_line(row[label] or "")
            kinds |= {number: one_line(row["kind"] or "")} if "kind" in row else {}
            groups |= {number: one_line(row[group] or "")} if group else {}
            continue
        raise DataError(f"{path}, line {line}: {what}. Correct it.")
    if not names:
        raise DataError(f"The vocabulary {path} names no class. Remove it, or put the full file there.")
    return Vocabulary(names, kinds, groups)


def modality_name(key: str) -> str:
    """The name of a modality, from its key in the records: ``mean_rgb`` → rgb, ``audio_embedding`` → audio."""
    return key.removeprefix("mean_").removesuffix("_embedding")


def release_of(id_key: str, features: Iterable[Feature]) -> tuple[str, int] | None:
    """The release that a data set's features and the key of its ids belong to, and its number of classes."""
    return next((known for each in features if (known := RELEASES.get((each.key, each.size, id_key)))), None)
