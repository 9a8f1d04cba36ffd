"""The layout of records, as the first ones of some shards show it: how they hold ids, classes and modalities."""

from __future__ import annotations

import os
import posixpath
import re
import shlex
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import islice

import numpy as np

import dmlkit.data.records as records
from dmlkit.data.records import ID_KEYS, KINDS, SEGMENT_KEYS, Features, InvalidRecord, SequenceExample
from dmlkit.data.schema import DATASET_TOML, TEXT, TEXT_SIZE, Feature, Vocabulary, modality_name, release_of
from dmlkit.data.storage import SHARD_SUFFIX
from dmlkit.errors import DataError, one_line, plain_text, shorten

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
            for key, kind in self.other_labels(features):
                usual = f"{KINDS[self.kind]} under {self.label_key!r}"
                raise _label_error(f"are {KINDS[kind]} under {key!r}, others {usual}. Write all alike")
            return []
        labels = labels if self.kind == "int64_list" else class_numbers(labels, self.names)
        if self.vector:
            if len(labels) != self.vector or not {0, 1}.issuperset(labels):
                raise _label_error(f"are no vector of {self.vector} zeros and ones: {shorten(labels)}")
            return [label for label, value in enumerate(labels) if value]
        if len(set(labels)) < len(labels) or (self.pairs and labels == [1, 0]):
            padded = min(labels) < 0
            what = "hold what is no class" if padded else "repeat, or may be a vector of 0 and 1"
            raise _label_error(f"{shorten(labels)} {what}. Write class numbers, each once and in their order")
        return labels

    def other_labels(self, features: Features) -> list[tuple[str, str]]:
        """Key and list of what is not empty and either under the key of the labels or of their kind."""
        alike = {self.label_key, self.kind} - {"bytes_list"}
        return [(key, kind) for key, (kind, _) in label_entries(features).items() if alike & {key, kind}]

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
    """Classes of labels that are floats, or texts: names or decimal numbers; `InvalidRecord` where one is not known."""
    if not isinstance(values[0], bytes):
        if all(value.is_integer() for value in values):
            return [int(value) for value in values]
        raise _label_error(f"are floats that are no class numbers, {shorten(values)}. Write these, as int64")
    texts = [plain_text(value.decode("utf-8", "replace")) for value in values]
    numbers = [int(each) for each in texts if re.fullmatch("[0-9]{1,9}", each)]
    classes = [names[each] for each in texts if each in names]
    if len(texts) in (len(numbers), len(classes)) and (numbers == classes or not (numbers and classes)):
        return numbers or classes  # but a number that is also the name of another class is neither
    what = f"are texts, neither class numbers nor names of the vocabulary: {shorten(texts)}"
    raise _label_error(f"{what}. Write class numbers (int64), or all names into a vocabulary.csv")


def _values_of(entry) -> tuple[str | None, Sequence]:
    kind = entry.WhichOneof("kind")
    return kind, getattr(entry, kind).value if kind else ()


def label_keys(context: Features) -> list[str]:
    """The key of a video's labels, or else those that may be it."""
    keys = {*context.feature} - ({*SEGMENT_KEYS} if {*SEGMENT_KEYS} <= {*context.feature} else set())
    return ["labels"] if "labels" in keys else [*filter(_is_label, keys)]


@lru_cache(1024)
def _is_label(key: str) -> bool:
    return _LABEL_KEY.fullmatch(key) is not None


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
    # Of a text next to labels, or to numbers, nobody knows whether it names the same classes.
    certain = {way: rows for way, rows in ways.items() if "labels" in way or "bytes_list" not in way}
    ways = certain or ways
    if len(ways) > 1:
        listed = ", ".join(f"{KINDS[kind]} under {key!r}" for key, kind in sorted(ways))
        raise DataError(f"{root}: the records hold labels as {listed}. Write all as int64 under 'labels'.")
    for (key, kind), rows in ways.items():
        names, known, error = {}, [], None
        if vocabulary and kind == "bytes_list":
            counts = Counter(map(plain_text, vocabulary.names.values()))
            found = {plain_text(name): label for label, name in vocabulary.names.items()}
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
        binary = kind != "bytes_list" and all({0, 1}.issuperset(row) for row in known)
        length = len(known[0])
        vector = binary and {*map(len, known)} == {length} and any(row != [0, 1] for row in known)
        vector = vector and (length > 2 or (length == 2 and num_classes in (None, 2)))
        if vector and num_classes not in (None, length):
            what = f"the labels are vectors of {length} zeros and ones, but there are {num_classes} classes"
            raise DataError(f"{root}: {what}. Correct num_classes in {DATASET_TOML}, or the vocabulary.")
        if vocabulary and not vector and 0 not in vocabulary.names and any(0 in row for row in known):
            raise DataError(f"{root}: records have class 0, which the vocabulary does not name. Add it.")
        pairs = binary and not vector and num_classes in (None, 2)
        return ContextCoding(id_keys, key, kind, length if vector else 0, pairs, names)
    return ContextCoding(id_keys)


@dataclass(frozen=True)
class Layout:
    """The layout of the first records of a shard of a split.

    Attributes:
        level, features: ``"video"`` or ``"frame"``, and the modalities by name.
        count: How many records they are.
        labels: The `label_entries` of each record that has any.
        keys: All their keys.
        id_key, id_kind: The key of their ids, and the list that these are written in; None where there are none.
        left: Key → kind of what is no modality, class or id, and holds more than one value.
        problems: Key → what would be misread as a modality, a sentence.
    """

    split: str
    shard: str
    level: str
    features: dict[str, Feature]
    count: int
    labels: tuple[dict, ...]
    keys: frozenset[str]
    id_key: str
    id_kind: str | None
    left: dict[str, str]
    problems: dict[str, str]


def infer_layout(parsed: Iterable[SequenceExample], split: str, shard: str) -> Layout:
    """The layout of most of some records; raises `DataError` where they hold no features."""
    seen, levels = Counter(), Counter()
    left, problems, labels, written = {}, {}, [], {}  # the last: key → some frames that are bytes
    keys, id_key, id_kind = set(), "id", None
    for record in parsed:
        context, lists = record.context.feature, record.feature_lists.feature_list
        labels += filter(None, [label_entries(record.context)])
        keys |= {*context, *lists}
        single = (key for key, e in context.items() if len(e.bytes_list.value) + len(e.int64_list.value) == 1)
        near = [*filter(_ID_KEY.fullmatch, single)]
        ids = [key for key in ID_KEYS if key in context] or (near if len(near) == 1 else [])
        id_key, id_kind = (ids[0], _values_of(context[ids[0]])[0]) if ids else (id_key, id_kind)
        levels["frame" if lists else "video"] += 1
        known = {*ids, *ID_KEYS, TEXT, *(SEGMENT_KEYS if {*SEGMENT_KEYS} <= {*context} else ())}
        entries = [(key, True, each.feature) for key, each in lists.items() if each.feature]
        entries += [(key, False, [context[key]]) for key in context if key not in known]
        for key, framed, frames in sorted(entries, key=lambda entry: entry[:2]):
            kind, values = _values_of(frames[0])
            size = len(b"".join(values) if kind == "bytes_list" else values)
            if size <= (not framed) and not _is_label(key):
                continue  # in a context, a single number is a time or a count
            left[key] = KINDS[kind]
            if _is_label(key) or framed < bool(lists):
                continue
            if kind == "float_list" or (kind == "bytes_list" and framed):
                seen[Feature(modality_name(key), size, "byte" if kind == "bytes_list" else "float", key)] += 1
            elif _is_usual(key) or (framed and kind == "int64_list" and size > 1):
                problems[key] = KINDS[kind]
            if kind == "bytes_list":
                some = (each for frame in frames[:_SAMPLED_FRAMES] for each in frame.bytes_list.value)
                written.setdefault(key, []).extend(some)
    contents = {key: found for key, frames in written.items() if (found := _contents(frames, _is_usual(key)))}
    for key, what in contents.items():
        (left if what == "texts" or not (_is_usual(key) or "memory" in what) else problems)[key] = what
    seen = Counter({each: count for each, count in seen.items() if each.key not in contents})
    if not seen and not problems:
        found = shorten(", ".join(sorted(keys)) or "none", 200)
        raise DataError(f"The first records of {shard} hold no features (keys: {found}). Leave it out.")
    level = levels.most_common(1)[0][0]
    expected = "a list of floats" if level == "video" else "a string of bytes or a list of floats a frame"
    advice = f"Write it so (`serialize_frames`, `serialize_video`), or declare the others in {DATASET_TOML}."
    wrong = f"where {expected} is expected. {advice}"
    problems = {key: f"the key {key!r} holds {found}, {wrong}" for key, found in problems.items()}
    features = {feature.name: feature for feature, _ in reversed(seen.most_common())}
    about = (tuple(labels), frozenset(keys), id_key, id_kind, left, problems)
    return Layout(split, shard, level, features, levels.total(), *about)


def _is_usual(key: str) -> bool:
    """Whether this is the key of a modality in one of the releases."""
    return key in ("rgb", "audio") or modality_name(key) != key


def _contents(frames: Sequence[bytes], usual: bool) -> str | None:
    """The type of byte strings that look like byte-coded frames and are none."""
    data = b"".join(frames)
    if all(map(_IMAGE.match, frames)):
        return "encoded images"
    if not usual and data.isascii() and data.decode().isprintable():
        return "texts"
    name = type_of_bytes(data)
    return name and f"the memory of {np.dtype(name).name} values, as bytes"


def type_of_bytes(data: bytes) -> str | None:
    """The type of the numbers whose memory these bytes are; None for bytes that are values themselves.

    Read as numbers nearly all are of usual magnitudes, and one byte further on they are not.
    """
    raw = np.frombuffer(data, np.uint8)
    for name, (fewest, low, high) in _TYPES.items():
        usual = []
        for by in (0, 1) if len(raw) % np.dtype(name).itemsize == 0 else ():
            with np.errstate(all="ignore"):
                sizes = np.abs(np.roll(raw, by).view(name).astype(np.float64))
            sizes = sizes[sizes != 0]
            usual.append(len(sizes) >= fewest and ((sizes >= low) & (sizes <= high)).mean() > 0.97)
        if usual == [True, False]:
            return name
    return None


# Of some shards.

SAMPLED_RECORDS = 16  # not the first record alone: early files lack mean_audio in some
MAX_KINDS = 64  # of names in a folder, of each of which three shards are looked at


def survey(root: str, splits: Mapping[str, Sequence[str]]) -> list[Layout]:
    """Some shards of every folder and split, recognised; `DataError` where none is, or for two levels or releases."""
    layouts = []
    for split, shards in splits.items():
        known, failed = len(layouts), []
        for shard in _sampled(shards):
            try:
                layouts.append(recognize(split, shard))
            except DataError as error:  # reported when it is read
                failed.append(error)
        if len(layouts) == known:
            raise failed[0]
    _refuse_mixtures(root, layouts)
    return layouts


def _sampled(shards: Iterable[str]) -> list[str]:
    """Of every folder of some shards the first, the middle and the last; of each kind of name, where these are few."""
    kinds, folders = defaultdict(list), defaultdict(list)
    for shard in shards:
        folder, name = posixpath.split(SHARD_SUFFIX.sub("", shard))
        # Shards are numbered in digits, those of YouTube-8M also in two letters.
        kinds[folder, re.sub(r"\d+", "", name[:-2])].append(shard)
        folders[folder].append(shard)
    groups = kinds if len(kinds) <= MAX_KINDS else folders
    return sorted({each[place] for each in groups.values() for place in (0, len(each) // 2, -1)})


def recognize(split: str, shard: str) -> Layout:
    """The layout of the first records of a shard; raises `DataError` where it has none."""
    first = [*islice(records.scan_records(shard), SAMPLED_RECORDS)]
    intact = [record.data for record in first if not record.error]
    if not first:
        raise DataError(f"{shard} holds no records.")
    if not intact:
        raise records.record_error(*first[0][:3], first[0].error)
    try:
        parsed = [*map(records.parse_record, intact)]
    except Exception:  # protobuf's own, of another class in each of its implementations
        kinds = "neither tf.train.Example nor tf.train.SequenceExample, YouTube-8M's and AudioSet's layouts"
        raise DataError(f"The records of {shard} are {kinds}. Write them by `serialize_frames`.") from None
    layout = infer_layout(parsed, split, shard)
    if not layout.labels and any(label_keys(each.context) for each in parsed):
        # The first videos have no class; their split is labelled if another video of the shard has a class.
        for record in records.scan_records(shard):
            with suppress(Exception):  # a damaged record is reported when it is read
                if entries := label_entries(records.parse_record(record.check()).context):
                    return replace(layout, labels=(entries,))
    return layout


def _refuse_mixtures(root: str, layouts: Iterable[Layout]) -> None:
    """The `DataError` names the way to the shards of each level or release."""
    levels, releases = defaultdict(list), defaultdict(list)
    for each in layouts:
        levels[f"{each.level}-level"].append(each.shard)
        if release := release_of(each.id_key, each.features.values()):
            releases[release[0]].append(each.shard)
    for groups, why in ((levels, ""), (releases, ", whose class numbers mean other classes")):
        if len(kinds := sorted(groups)) < 2:
            continue
        ways = [_way_to(kind, groups) for kind in kinds]
        places = [f"{way or groups[kind][0]} is {kind}" for kind, way in zip(kinds, ways, strict=True)]
        advice = "Use one of them" if all(ways) else "Move one into a folder of its own"
        what = f"{root} mixes {' and '.join(kinds)} records{why}: {', '.join(places)}."
        raise DataError(f"{what} {advice}, or name the shards of one in {DATASET_TOML}.")


def common_folder(shards: Sequence[str]) -> str:
    """The deepest folder that holds some shards."""
    return os.path.commonprefix(shards).rpartition("/")[0]  # noqa: RUF071


def _way_to(kind: str, groups: Mapping[str, Sequence[str]]) -> str | None:
    """A folder or pattern that takes the shards of one kind alone, as an option; None where there is none."""
    others = [each for other in groups if other != kind for each in groups[other]]
    start = os.path.commonprefix(groups[kind]).rstrip("0123456789")  # noqa: RUF071, the start of their names, too
    for begin, way in ((folder := common_folder(groups[kind])) + "/", folder), (start, f"{start}*"):
        if not any(each.startswith(begin) for each in others):
            return f"`--data {shlex.quote(way)}`"
    return None


def notes_on(
    layouts: Sequence[Layout], labelled: Iterable[str], features: Mapping, context: ContextCoding
) -> Iterator[str]:
    """Notes on unusual records of a data set, and on what is ignored of them, one sentence each."""
    yield from context.notes()
    known = [each for each in layouts if each.split in labelled]
    looked, have = sum(each.count for each in known), sum(len(each.labels) for each in known)
    if have < looked:
        yield f"Of {looked} records looked at, {looked - have} have no labels: read as videos of no class."
    if (ways := {each.id_kind for each in layouts}) != {"bytes_list"}:
        ids = "whole numbers (int64), read as decimal texts" if "int64_list" in ways else "missing"
        yield f"The ids of videos are {ids}."
    used, left, keys = {each.key for each in features.values()} | {context.label_key}, {}, defaultdict(set)
    for layout in layouts:
        keys[layout.split] |= layout.keys
        left |= layout.left
    if unread := ", ".join(f"{one_line(key)} ({left[key]})" for key in sorted(left.keys() - used)):
        yield f"Left aside of the records: {shorten(unread, 300)}."
    if TEXT in set().union(*keys.values()) - used:
        entry = f'`[features.{TEXT}]` with `size = {TEXT_SIZE}` and `coding = "{TEXT}"` in {DATASET_TOML}'
        yield f"The records carry {TEXT}, which is not used: {entry} makes it a modality."
    for split, there in keys.items():
        if absent := [one_line(each.key) for each in features.values() if each.key not in there]:
            yield f"No record looked at of the split {split!r} has {', '.join(absent)}: read as silence, or no words."
