"""What a data set is made of: modalities and how they are coded, splits, class names; dataset.toml, which declares all
that, and the layout of the records, by which it is inferred.
"""

from __future__ import annotations

import csv
import io
import json
import os
import posixpath
import re
import tomllib
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from dmlkit.data.records import (
    ID_KEYS,
    Features,
    InvalidRecord,
    SequenceExample,
    exists,
    match_paths,
    open_to_write,
    read_bytes,
)
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
Patterns = Annotated[list[str], BeforeValidator(lambda value: [value] if isinstance(value, str) else value)]


class FeatureSettings(BaseModel):
    """A table ``[features.NAME]`` of dataset.toml; what it leaves out follows from the level."""

    model_config = ConfigDict(extra="forbid", strict=True)
    size: Positive
    coding: Literal["byte", "float", TEXT] | None = None
    key: str | None = None


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
    # Shard, by its path in the folder → its records: the only sign of a file cut exactly between two records.
    counts: dict[str, Annotated[int, Field(ge=0)]] = {}

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
        unused = [
            each for each in inferred.values() if each.key not in {own.key for own in declared.values()}
        ]
        for name, each in declared.items():
            found = [other for other in unused if other.size == each.size]
            if each.in_frames and each.key not in keys and found:
                raise DataError(
                    f"{root}/{DATASET_TOML}: [features.{name}] is read from the key {each.key!r}, which the records do "
                    f'not have. They have {found[0].key!r}, of the same size: add `key = "{found[0].key}"` there.'
                )
        texts_only = not any(feature.in_frames for feature in declared.values())
        return {**inferred, **declared} if texts_only else declared


def read_dataset_toml(root: str) -> DatasetSettings:
    """Read a folder's dataset.toml; empty settings where there is none. Raises `DataError` that names the entry."""
    path = posixpath.join(root, DATASET_TOML)
    if not exists(path):
        return DatasetSettings()
    try:
        return DatasetSettings(**tomllib.loads(read_bytes(path).decode()))
    except ValidationError as error:
        raise DataError(f"{path}: {_describe(error.errors()[0])}") from None
    except ValueError as error:
        raise DataError(f"{path} is not valid TOML: {error}. Correct it there.") from None


def _describe(problem: dict) -> str:
    """One of pydantic's errors as a sentence: where, what is expected and what was received."""
    *table, entry = map(str, problem["loc"] or ("the file",))
    place = shorten(".".join((*table, entry)).removesuffix(".[key]"), 80)
    if problem["type"] == "extra_forbidden":
        known = (FeatureSettings if table else DatasetSettings).model_fields
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


def _toml(value: object) -> str:
    # JSON's strings, numbers, booleans and lists are TOML's too, for what is written here.
    return json.dumps(value, ensure_ascii=False)


VOCABULARIES = ("vocabulary.csv", "label_names.csv", "label_names_2018.csv", "class_labels_indices.csv")
_LIKE_VOCABULARIES = ("*vocabulary.csv", "label_names*.csv", "class_labels*.csv")
# Columns of a vocabulary, in any case.
_INDEX_COLUMNS, _NAME_COLUMNS, _KIND_COLUMN = (
    ("index", "label_id"),
    ("name", "display_name", "label_name"),
    "kind",
)


@dataclass(frozen=True)
class Vocabulary:
    """The contents of a vocabulary file: class → name, and class → kind where there is such a column."""

    names: Mapping[int, str]
    kinds: Mapping[int, str]

    @property
    def num_classes(self) -> int:
        """One more than the highest class named."""
        return max(self.names) + 1

    def class_names(self, num_classes: int) -> tuple[str, ...]:
        """A name for each class; ``"class 17"`` where the file has none."""
        return tuple(self.names.get(index) or f"class {index}" for index in range(num_classes))

    def class_kinds(self, num_classes: int) -> tuple[str, ...] | None:
        """A kind for each class; None where the file has no such column."""
        return tuple(self.kinds.get(index, "") for index in range(num_classes)) if self.kinds else None


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
    fitting = [(path, each) for path, each in found.items() if alone or expected in (None, each.num_classes)]
    if found and not above and len({each.num_classes for _, each in fitting}) != 1:
        raise DataError(
            f"{root} has several vocabularies, {listed}, and the number of classes does not show which is meant. Leave "
            f'one there, or name it in {DATASET_TOML}: `vocabulary = "FILE"`.'
        )
    for path, vocabulary in fitting:
        count = vocabulary.num_classes
        others = [name for name, size in RELEASES.values() if size == count]
        if release and others and release[0] not in others and count != settings.num_classes:
            raise DataError(
                f"{path} names {count:,} classes, those of {others[0]}, but the records are of {release[0]}, which has "
                f"{release[1]:,}. Put the vocabulary of that release there."
            )
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
    names: dict[int, str] = {}
    kinds: dict[int, str] = {}
    for line, row in table:
        number = int(row[index]) if re.fullmatch(r"\s*\d{1,6}\s*", row[index] or "") else None
        if number is None or number in names or any(row.get(None, ())):
            what = (
                f"{shorten(row[index])!r} is no class number"
                if number is None
                else f"class {number} comes twice"
            )
            what = (
                "more cells than columns (a comma takes quotation marks)" if any(row.get(None, ())) else what
            )
            raise DataError(f"{path}, line {line}: {what}. Correct it.")
        names[number] = one_line(row[label] or "")
        if _KIND_COLUMN in columns:
            kinds[number] = one_line(row[_KIND_COLUMN] or "")
    if not names:
        raise DataError(f"The vocabulary {path} names no class. Remove it, or put the full file there.")
    return Vocabulary(names, kinds)


# The layout of records.

# Keys that may be those of classes and ids where the records have none of YouTube-8M's: `image/class/label`, `VideoId`.
_LABEL_KEY = re.compile(
    r"(.*[/_ -])?(labels?|class(es)?|categor(y|ies)|targets?)"
    r"([/_ -]?(index|indices|idx|ids?|number|names?|strings?|text|one_?hot))?",
    re.IGNORECASE,
)
_ID_KEY = re.compile(
    r"((example|video|clip)/)?((video|clip|youtube|yt|media|example|sample|file)?[_ -]?(id|name|key)|video|clip)",
    re.IGNORECASE,
)
KINDS = {"bytes_list": "byte strings", "float_list": "floats", "int64_list": "int64 numbers", None: "nothing"}
# Types whose values `tobytes()` writes → the fewest values that show it, and the magnitudes of values other than 0.
_TYPES = {
    "float32": (16, 1e-6, 1e5),
    "float64": (8, 1e-6, 1e5),
    "float16": (256, 1e-4, 1e3),
    "int64": (8, 1, 255),
    "int32": (16, 1, 255),
    "int16": (256, 1, 255),
    ">f4": (16, 1e-6, 1e5),
}
_IMAGE = re.compile(rb"\x89PNG|\xff\xd8\xff|GIF8|RIFF")
_SAMPLED_FRAMES = 16  # of each sampled record, to find such types


@dataclass(frozen=True)
class ContextCoding:
    """How records hold the id and the classes of their video; the default is YouTube-8M's.

    Attributes:
        id_keys: The keys under which an id is looked for, in this order.
        label_key, kind: The key of the labels, and the list that they are written in.
        vector: The length of labels that are vectors of 0 and 1; 0 where they are classes.
        pairs: Whether all that were seen are 0 or 1, so that 1, 0 might be either.
        names: Class name → class, for labels that are texts.
    """

    id_keys: tuple[str, ...] = ID_KEYS
    label_key: str = "labels"
    kind: str = "int64_list"
    vector: int = 0
    pairs: bool = False
    names: Mapping[str, int] = field(default_factory=dict, repr=False)

    def read_id(self, features: Features) -> str:
        """A video's id: a text, or a whole number as decimal text; empty where there is neither."""
        for key in self.id_keys:
            if key in features.feature:
                entry = features.feature[key]
                if texts := entry.bytes_list.value:
                    return texts[0].decode("utf-8", "replace")
                if numbers := entry.int64_list.value:
                    return str(numbers[0])
        return ""

    def read_labels(self, features: Features) -> list[int]:
        """A video's classes, none twice; raises `InvalidRecord` where its labels are not written as others are."""
        entry = features.feature.get(self.label_key)
        labels = list(getattr(entry, self.kind).value) if entry else []
        if not labels:
            for key, kind in self._other_labels(features):
                usual = f"{KINDS[self.kind]} under {self.label_key!r}"
                raise _label_error(
                    f"are {KINDS[kind]} under {key!r}, those of others {usual}. Write all alike"
                )
            return []
        labels = labels if self.kind == "int64_list" else class_numbers(labels, self.names)
        if self.vector:
            if len(labels) != self.vector or not {0, 1}.issuperset(labels):
                raise _label_error(
                    f"are no vector of {self.vector} zeros and ones, as others are: {shorten(labels)}"
                )
            return [label for label, value in enumerate(labels) if value]
        if len(set(labels)) < len(labels) or (self.pairs and labels == [1, 0]):
            what = f"{shorten(labels)} repeat, or may be a vector of 0 and 1"
            what = f"{shorten(labels)} hold {min(labels)}, which is no class" if min(labels) < 0 else what
            raise _label_error(f"{what}. Write the numbers of classes, each once and in their order")
        return labels

    def has_labels(self, features: Features) -> bool:
        """Whether there are labels, though perhaps not written as others are."""
        return any(self._other_labels(features))

    def _other_labels(self, features: Features) -> Iterator[tuple[str, str]]:
        """Key and list of what is not empty and under the key of the labels, or numbers as they are."""
        for key, (kind, _) in label_entries(features).items():
            if key == self.label_key or kind == self.kind != "bytes_list":
                yield key, kind

    def notes(self) -> Iterator[str]:
        """What differs from YouTube-8M's, one sentence each."""
        if other := [key for key in self.id_keys if key not in ID_KEYS]:
            yield f"Ids are those under {', '.join(map(repr, other))}."
        read = f"vectors of {self.vector} zeros and ones" if self.vector else "class numbers"
        read += " or names" if self.kind == "bytes_list" else ""
        if (self.label_key, self.kind, self.vector) != ("labels", "int64_list", 0):
            yield f"Labels are the {KINDS[self.kind]} under {self.label_key!r}, read as {read}."


USUAL_CONTEXT = ContextCoding()


def _label_error(what: str) -> InvalidRecord:
    return InvalidRecord(f"its labels {what}.", kind="label")


def class_numbers(values: Sequence[float] | Sequence[bytes], names: Mapping[str, int]) -> list[int]:
    """Classes of labels that are floats or texts: names, decimal numbers, or several of them in one text.

    Raises `InvalidRecord` where one is not known.
    """
    if not isinstance(values[0], bytes):
        if all(value.is_integer() for value in values):
            return [int(value) for value in values]
        raise _label_error(f"are floats that are no class numbers, {shorten(values)}. Write these, as int64")
    texts = [_normal(value.decode("utf-8", "replace")) for value in values]
    parts = [part.strip(" '\"") for text in texts for part in re.split("[,;|]", text.strip("[](){}"))]
    if all(re.fullmatch(r"[0-9 ]*", part) for part in parts):
        parts = " ".join(parts).split()
    for found in (texts, parts):
        numbers = [int(each) for each in found if re.fullmatch("[0-9]{1,9}", each)]
        classes = [names[each] for each in found if each in names]
        if len(found) in (len(numbers), len(classes)) and (numbers == classes or not (numbers and classes)):
            return numbers or classes  # but a number that is also the name of another class is neither
    what = f"are texts, neither class numbers nor names of the vocabulary: {shorten(texts)}"
    raise _label_error(f"{what}. Write class numbers (int64), or all names into a vocabulary.csv")


def _normal(text: str) -> str:
    return one_line(unicodedata.normalize("NFC", text))


def _values_of(entry) -> tuple[str | None, Sequence]:
    kind = entry.WhichOneof("kind")
    return kind, getattr(entry, kind).value if kind else ()


def label_keys(context: Features) -> list[str]:
    """The key of a video's labels, or else those that may be it."""
    return ["labels"] if "labels" in context.feature else [*filter(_LABEL_KEY.fullmatch, context.feature)]


def label_entries(context: Features) -> dict[str, tuple[str, list]]:
    """Key → kind and values of what are, or may be, a video's labels; without those that are empty."""
    found = {key: _values_of(context.feature[key]) for key in sorted(label_keys(context))}
    return {key: (kind, list(values)) for key, (kind, values) in found.items() if values}


def infer_context(
    root: str, layouts: Sequence[Layout], vocabulary: Vocabulary | None, num_classes: int | None
) -> ContextCoding:
    """How a data set's records, of these layouts, hold ids and classes; `DataError` where that is not certain."""
    id_keys = tuple(dict.fromkeys([*ID_KEYS, *(layout.id_key for layout in layouts)]))
    ways: dict[tuple[str, str], list] = {}
    for record in (record for layout in layouts for record in layout.labels):
        for key, (kind, values) in record.items():
            ways.setdefault((key, kind), []).append(values)
    # Of a text beside labels, or beside numbers, nobody knows whether it names the same classes.
    certain = {way: rows for way, rows in ways.items() if "labels" in way or "bytes_list" not in way}
    ways = certain or ways
    if len(ways) > 1:
        listed = ", ".join(f"{KINDS[kind]} under {key!r}" for key, kind in sorted(ways))
        raise DataError(f"{root}: the records hold labels as {listed}. Write all as int64 under 'labels'.")
    for (key, kind), rows in ways.items():
        names, known, error = {}, [], None
        if vocabulary and kind == "bytes_list":
            counts = Counter(map(_normal, vocabulary.names.values()))
            found = {_normal(name): label for label, name in vocabulary.names.items()}
            names = {name: label for name, label in found.items() if name and counts[name] == 1}
        for row in rows:
            try:
                known.append(row if kind == "int64_list" else class_numbers(row, names))
            except InvalidRecord as invalid:
                error = invalid
        if not known:
            raise DataError(f"{root}: of the first records, the key {key!r}: {error}")
        # A list of classes holds none twice: of 0 and 1 at most both. So two may be either, if there are two classes.
        num_classes = num_classes or (vocabulary.num_classes if vocabulary else None)
        (length, *others) = {*map(len, known)}
        vector = not others and length > 1 and all({0, 1}.issuperset(row) for row in known)
        if kind == "bytes_list":  # of names, none is 0 or 1
            vector = vector and not any(
                re.search(rb"[^\s0-9,;|(){}\[\]]", text) for row in rows for text in row
            )
        vector = vector and any(row != [0, 1] for row in known) and (length > 2 or num_classes in (None, 2))
        pairs = not vector and num_classes in (None, 2) and all({0, 1}.issuperset(row) for row in known)
        if vocabulary and not vector and 0 not in vocabulary.names and any(0 in row for row in known):
            raise DataError(
                f"{root}: records have class 0, which the vocabulary does not name. Number its classes from 0, as the "
                "records do."
            )
        if vector and num_classes not in (None, length):
            raise DataError(
                f"{root}: the labels are vectors of {length} zeros and ones, but there are {num_classes} classes. "
                f"Correct num_classes in {DATASET_TOML}, or the vocabulary."
            )
        return ContextCoding(id_keys, key, kind, length if vector else 0, pairs, names)
    return ContextCoding(id_keys)


@dataclass(frozen=True)
class Layout:
    """The layout of some records.

    Attributes:
        level, features: ``"video"`` or ``"frame"``, and the modalities by name.
        count: How many records they are.
        labels: The `label_entries` of each record that has any.
        keys: All their keys.
        id_key, id_kind: The key of their ids, and the list that these are written in; None where there are none.
        left: Key → kind of what is no modality, class or id, and holds more than one value.
        problems: Key → what would be misread as a modality, a sentence.
    """

    level: str
    features: dict[str, Feature]
    count: int
    labels: tuple[dict, ...]
    keys: frozenset[str]
    id_key: str
    id_kind: str | None
    left: dict[str, str]
    problems: dict[str, str]


def infer_layout(records: Iterable[SequenceExample]) -> Layout | None:
    """The layout of most of some records (`parse_record`); None where they hold no features."""
    seen: Counter[Feature] = Counter()
    levels: Counter[str] = Counter()
    written: dict[tuple[str, bool, int], list] = {}  # key, whether usual, bytes a frame → some frames
    left, problems, labels = {}, {}, []
    keys, id_key, id_kind = set(), "id", None
    for record in records:
        context, lists = record.context.feature, record.feature_lists.feature_list
        labels += filter(None, [label_entries(record.context)])
        keys |= {*context, *lists}
        near = [key for key, each in context.items() if _ID_KEY.fullmatch(key) and _is_id(each)]
        ids = [key for key in ID_KEYS if key in context] or (near if len(near) == 1 else [])
        id_key, id_kind = (ids[0], _values_of(context[ids[0]])[0]) if ids else (id_key, id_kind)
        levels["frame" if lists else "video"] += 1
        entries = {(key, True): each.feature for key, each in lists.items() if each.feature}
        entries |= {
            (key, False): [each] for key, each in context.items() if key not in (*ids, *ID_KEYS, TEXT)
        }
        for (key, framed), frames in sorted(entries.items()):
            kind, values = _values_of(frames[0])
            size = len(b"".join(values)) if kind == "bytes_list" else len(values)
            is_label, usual = _LABEL_KEY.fullmatch(key), key in ("rgb", "audio") or modality_name(key) != key
            if size <= (not framed) or (is_label and not framed):
                continue  # in a context, a single number is a time or a count
            left[key] = KINDS[kind]
            if is_label or framed < bool(lists):
                continue
            if kind == "float_list" or (kind == "bytes_list" and framed):
                seen[Feature(modality_name(key), size, "byte" if kind == "bytes_list" else "float", key)] += 1
            elif usual or (framed and kind == "int64_list" and size > 1):
                problems[key] = KINDS[kind]
            if kind == "bytes_list":
                found = [each for frame in frames[:_SAMPLED_FRAMES] for each in frame.bytes_list.value]
                written.setdefault((key, usual, size), []).extend(found)
    none = set()  # what is no modality though it looks like one
    for (key, usual, _), found in written.items():
        data, name = b"".join(found), None
        if all(map(_IMAGE.match, found)):
            what = "encoded images"
        elif not usual and data.isascii() and data.decode().isprintable():
            what = "texts"
        elif name := type_of_bytes(data):
            what = f"the memory of {np.dtype(name).name} values, as bytes"
        else:
            continue
        none.add(key)
        (problems if usual or name else left)[key] = what
    seen = Counter({each: count for each, count in seen.items() if each.key not in none})
    if not seen and not problems:
        return None
    level = levels.most_common(1)[0][0]
    expected = "a list of floats" if level == "video" else "a string of bytes or a list of floats a frame"
    problems = {
        key: f"the key {key!r} holds {found}, where {expected} is expected. Write it so (`serialize_frames` and "
        f"`serialize_video` of dmlkit.data do), or declare in {DATASET_TOML} the modalities to read, without this one."
        for key, found in problems.items()
    }
    features = {feature.name: feature for feature, _ in reversed(seen.most_common())}
    return Layout(
        level, features, levels.total(), tuple(labels), frozenset(keys), id_key, id_kind, left, problems
    )


def _is_id(entry) -> bool:
    return len(entry.bytes_list.value) + len(entry.int64_list.value) == 1


def type_of_bytes(data: bytes) -> str | None:
    """The type of the numbers whose memory these bytes are; None for bytes that are values themselves.

    Read as numbers nearly all are of usual magnitudes, and one byte further on they are not.
    """
    raw = np.frombuffer(data, np.uint8)
    for name, limits in _TYPES.items():
        readings = [np.roll(raw, by).view(name) for by in (0, 1) if len(raw) % np.dtype(name).itemsize == 0]
        if [_are_usual(values, *limits) for values in readings] == [True, False]:
            return name
    return None


def _are_usual(values: np.ndarray, fewest: int, low: float, high: float) -> bool:
    with np.errstate(all="ignore"):
        sizes = np.abs(values.astype(np.float64))
    sizes = sizes[sizes != 0]
    return len(sizes) >= fewest and ((sizes >= low) & (sizes <= high)).mean() > 0.97


def modality_name(key: str) -> str:
    """The name of a modality, from its key in the records: ``mean_rgb`` → rgb, ``audio_embedding`` → audio."""
    return key.removeprefix("mean_").removesuffix("_embedding")


def release_of(id_key: str, features: Iterable[Feature]) -> tuple[str, int] | None:
    """The release that a data set's features and the key of its ids belong to, and its number of classes."""
    return next((known for each in features if (known := RELEASES.get((each.key, each.size, id_key)))), None)
