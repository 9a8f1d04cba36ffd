"""What a few records tell of a data set: its level, its modalities, whether there are labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from dmlkit.data import messages
from dmlkit.data.framing import walk_records
from dmlkit.data.labels import ID_KEYS
from dmlkit.data.schema import Feature
from dmlkit.data.shards import first_records
from dmlkit.errors import DataError

# Not the first record alone: early files lack mean_audio in some.
ACCESS_LOG = 16
NOT_FEATURES = {*ID_KEYS, "labels"}
# Keys of texts, which no layout of ours takes for a modality by itself.
TEXTS = ("text",)


@dataclass(frozen=True)
class Layout:
    """What was seen: level, modalities by name, whether any record had labels, the keys of texts."""

    level: str
    features: dict[str, Feature]
    labelled: bool
    texts: tuple[str, ...] = ()


def recognise(shards: Sequence[str]) -> Layout:
    """Look at the first records of some shards.

    Raises:
        DataError: They cannot be read, or hold no features.
    """
    parsed = []
    for record in first_records(shards, ACCESS_LOG):
        try:
            parsed.append(parse(record))
        except Exception:
            raise DataError(
                f"{shards[0]} holds records that are neither tf.train.Example nor tf.train.SequenceExample. "
                "dmlkit reads YouTube-8M's and AudioSet's layouts."
            ) from None
    layout = layout_of(parsed)
    if layout is None:
        raise DataError(f"The first records of {shards[0]} hold no features. Is this a folder of features?")
    if not layout.labelled and any("labels" in each.context.feature for each in parsed):
        # The first videos are of no class; their part has labels if any other video has.
        layout = replace(layout, labelled=_any_labels(shards))
    return layout


def parse(record: bytes) -> messages.SequenceExample:
    """A record of either level: an example reads as a sequence example whose context holds everything.

    Raises:
        google.protobuf.message.DecodeError: It is neither.
    """
    return messages.SequenceExample.FromString(record)


def layout_of(records: Iterable[messages.SequenceExample]) -> Layout | None:
    """What most of some records say; None where they hold no features."""
    seen: Counter[Feature] = Counter()
    levels: Counter[str] = Counter()
    labelled, texts = False, set()
    for parsed in records:
        texts.update(key for key in TEXTS if key in parsed.context.feature)
        labelled = labelled or bool(_labels(parsed))
        lists = parsed.feature_lists.feature_list
        levels["frame" if lists else "video"] += 1
        seen.update(_frame_features(lists) if lists else _video_features(parsed.context.feature))
    sizes: dict[str, tuple[int, Feature]] = {}
    for feature, count in seen.items():
        if count > sizes.get(feature.name, (0, feature))[0]:
            sizes[feature.name] = (count, feature)
    if not sizes:
        return None
    # Biggest first, so that pictures come before sound, and one order wherever a dict's own is chance.
    features = sorted((feature for _, feature in sizes.values()), key=lambda each: (-each.size, each.name))
    level = levels.most_common(1)[0][0]
    return Layout(level, {feature.name: feature for feature in features}, labelled, tuple(sorted(texts)))


def modality(key: str) -> str:
    """The name of a modality, from its key in the records: ``mean_rgb`` → rgb, ``audio_embedding`` → audio."""
    return key.removeprefix("mean_").removesuffix("_embedding")


def _any_labels(shards: Sequence[str]) -> bool:
    """Whether a video has a label, of those in the first shard that holds any videos."""
    for shard in shards:
        empty = True
        for framed in walk_records(shard):
            empty = False
            with suppress(Exception):  # what is damaged is met when it is read
                if framed.fault is None and _labels(parse(framed.record)):
                    return True
        if not empty:
            return False
    return False


def _labels(parsed: messages.SequenceExample) -> Sequence[int]:
    entries = parsed.context.feature
    return entries["labels"].int64_list.value if "labels" in entries else ()


def _frame_features(lists: dict) -> list[Feature]:
    found = []
    for key, frames in lists.items():
        if not frames.feature:
            continue
        first = frames.feature[0]
        if first.bytes_list.value and first.bytes_list.value[0]:
            found.append(Feature(modality(key), len(first.bytes_list.value[0]), "byte", key))
        elif first.float_list.value:
            found.append(Feature(modality(key), len(first.float_list.value), "float", key))
    return found


def _video_features(entries: dict) -> list[Feature]:
    return [
        Feature(modality(key), len(entry.float_list.value), "float", key)
        for key, entry in entries.items()
        # A single number is a time or a count.
        if key not in NOT_FEATURES and len(entry.float_list.value) > 1
    ]
