"""The generated data set: its constants, its videos, and writing them in YouTube-8M's format, at both levels.

OUT/dataset.toml, OUT/frame/train0000.tfrecord ...         frame level
OUT/video/dataset.toml, OUT/video/train0000.tfrecord ...   video level: the same videos, the mean of their frames
OUT/segments/dataset.toml, ...                             if asked for, frame level with rated segments (`3/frame`)
OUT/vocabulary.csv                                         the classes' names, counts and kinds
OUT/truth-train.json, OUT/truth-validate.json              video id → class → the frames that made the label
OUT/generated.json                                         the settings it is a function of

Frozen: models are compared on these data, so a change of a constant here changes what every earlier figure meant. It
takes a new `VERSION` and a new checksum in tests/data/test_synthetic.py. The bytes are a function of the settings
alone, on every machine: random numbers come from `Stream`, and all arithmetic is elementwise (no matrix product, whose
rounding depends on the library behind it).
"""

from __future__ import annotations

import csv
import json
import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

import dmlkit.data.schema as schema
from dmlkit.data.records import serialize_frames, serialize_video, write_shard
from dmlkit.data.schema import TEXT, TEXT_SIZE, Feature, quantize
from dmlkit.data.segments import SEGMENT_SECONDS, segment_starts
from dmlkit.data.storage import new_folder
from dmlkit.errors import UsageError
from dmlkit.paths import is_remote

VERSION = 1

STEADY_VISUAL = "steady visual"
STEADY_AUDIO = "steady audio"
TOGETHER = "together"
SHORT_EVENT = "short event"
ORDER = "order"

# Kind → what makes its label, as reports show it.
KINDS = {
    STEADY_VISUAL: "a visual pattern in every frame; the mean over frames keeps it",
    STEADY_AUDIO: "an audio pattern in every frame; the mean over frames keeps it",
    TOGETHER: "a visual and an audio pattern at the same moment, with equal or with opposite signs (an exclusive-or): "
    "neither alone is informative, and both cancel over the frames",
    SHORT_EVENT: "a strong visual pattern during 5 to 10 % of the frames; the mean over frames dilutes it",
    ORDER: "two visual patterns, A then B or B then A, equally long and opposite: over the frames they cancel",
}

# The classes' kinds, the most frequent class first. Classes of TOGETHER and of ORDER come in pairs (the first and
# second, the third and fourth of the kind) that share their patterns and never occur in one video.
CLASS_KINDS = (
    *(TOGETHER, SHORT_EVENT, STEADY_VISUAL, ORDER, STEADY_AUDIO, TOGETHER, SHORT_EVENT, ORDER),
    *(STEADY_VISUAL, TOGETHER, STEADY_AUDIO, SHORT_EVENT, TOGETHER, ORDER, STEADY_VISUAL, SHORT_EVENT),
    *(STEADY_AUDIO, TOGETHER, ORDER, SHORT_EVENT, STEADY_VISUAL, TOGETHER, STEADY_AUDIO, SHORT_EVENT),
)
NUM_CLASSES = len(CLASS_KINDS)

# Label k occurs with a probability proportional to 1 / (k + ZIPF_SHIFT), k from 1.
ZIPF_SHIFT = 3
LABELS_PER_VIDEO = 3.0
# The kinds that the mean over frames shows. Every video has a label among these: requiring a label of any kind would
# make the others likelier in videos that show none of these, which a mean would show.
KINDS_IN_MEANS = (STEADY_VISUAL, STEADY_AUDIO, SHORT_EVENT)

# A frame is a video's own offset + autoregressive noise + the patterns of its labels. Deviations per dimension.
OFFSET_DEVIATION = 0.25
NOISE_DEVIATION = 0.33
NOISE_CARRY = 0.6  # the share of a frame's noise that goes on into the next frame

# The L2 norm of a kind's pattern, which is what a matched filter sees: small and full dimensions are equally hard.
NORMS = {STEADY_VISUAL: 1.15, STEADY_AUDIO: 1.25, TOGETHER: 2.3, SHORT_EVENT: 4.5, ORDER: 2.0}
GAINS = (0.8, 1.2)  # each occurrence is weaker or stronger

HALF_SHARE = (0.2, 0.3)  # of the frames, for each of the two equal halves of TOGETHER and ORDER
EVENT_SHARE = (0.05, 0.10)  # of the frames, for SHORT_EVENT
MIN_EVENT_FRAMES = 2
# Videos without a TOGETHER pair show its visual pattern alone, or its audio pattern alone, this often.
DECOY_PROBABILITY = 0.1

DEMO_SIZES = {"rgb": 64, "audio": 16}
DEMO_FRAMES = 40
FULL_SIZES = {"rgb": 1024, "audio": 128}  # YouTube-8M's own
FULL_FRAMES = 300

# Texts, where the data set has them. Every class has a topic, one word; a video's texts often name the topics of its
# labels, rarely another topic, and contain filler words. In a bag of `TEXT_SIZE` no two of these words share an index.
TOPICS = (
    *("river", "guitar", "kitchen", "harbour", "rocket", "garden", "violin", "tractor"),
    *("glacier", "carnival", "lantern", "falcon", "bakery", "canyon", "orchard", "subway"),
    *("telescope", "desert", "hockey", "pottery", "volcano", "library", "motorcycle", "waterfall"),
)
FILLERS = (
    *("my", "your", "the", "best", "old", "great", "funny", "official", "full", "part", "one", "two"),
    *("three", "first", "day", "night", "live", "video", "clip", "how", "to", "make", "with", "and"),
    *("of", "for", "at", "from", "home", "world", "life", "top", "episode", "season", "review", "hd"),
    *("2012", "2013", "2014"),
)
TOPIC_PROBABILITY = 0.6  # of a text naming the topic of a label
STRAY_PROBABILITY = 0.02  # of one naming the topic of another class
NO_TEXT_PROBABILITY = 0.1
TITLE_PROBABILITY = 0.5  # of a topic standing in the title; else it is a keyword
FILLER_COUNT = (3, 8)

# Ratings, where segments have them: of each label of a video so many segments that show it and as many that do not,
# where there are any, and one segment each of so many other classes.
RATED_SEGMENTS = 2
RATED_OTHERS = 3

# First words of the random streams: templates, then the videos of each split. A video's texts and its ratings have
# streams of their own, so that its frames are the same with them and without.
_TEMPLATE_STREAM = 0
_SPLIT_STREAMS = {"train": 1, "validate": 2, "test": 3}
_TEXT_STREAM, _RATING_STREAM = 1, 2
_TRAIN_SHARDS = 20  # the other splits' shards hold as many videos as the training split's
_SETTINGS, _VOCABULARY = "generated.json", "vocabulary.csv"


def classes_of(kind: str) -> list[int]:
    """The classes of a kind, the most frequent first."""
    return [index for index, its_kind in enumerate(CLASS_KINDS) if its_kind == kind]


def pairs_of(kind: str) -> list[tuple[int, int]]:
    """The classes of TOGETHER or ORDER in the pairs that share their patterns."""
    classes = classes_of(kind)
    return list(zip(classes[::2], classes[1::2], strict=True))


def class_names() -> list[str]:
    """A name for each class, with its kind: ``"steady visual 3"``, ``"order 1: A then B"``."""
    pairs = {TOGETHER: (": same sign", ": opposite sign"), ORDER: (": A then B", ": B then A")}
    names = []
    for index, kind in enumerate(CLASS_KINDS):
        endings = pairs.get(kind, ("",))
        number, place = divmod(CLASS_KINDS[:index].count(kind), len(endings))
        names.append(f"{kind} {number + 1}{endings[place]}")
    return names


@cache
def probabilities() -> tuple[float, ...]:
    """How often each label occurs."""
    weights = [1.0 / (rank + ZIPF_SHIFT) for rank in range(1, NUM_CLASSES + 1)]
    return tuple(LABELS_PER_VIDEO * weight / math.fsum(weights) for weight in weights)


@cache
def _proposal_probabilities() -> tuple[float, ...]:
    """Those by which labels are sampled, KINDS_IN_MEANS until there is one, so that all occur as `probabilities`."""
    chances = list(zip(CLASS_KINDS, probabilities(), strict=True))
    kept = 1.0
    for _ in range(200):
        kept = 1.0 - math.prod(1.0 - kept * chance for kind, chance in chances if kind in KINDS_IN_MEANS)
    return tuple(kept * chance if kind in KINDS_IN_MEANS else chance for kind, chance in chances)


@dataclass(frozen=True, kw_only=True)
class SyntheticSettings:
    """What a generated data set is a function of; raises `UsageError` where the classes' kinds would not hold.

    Attributes:
        seed: Of everything random; not negative.
        train, validate, test: Videos of the splits; a tenth of the training split's 20 shards is the tuning split, and
            the test split, which may be empty, has no labels.
        sizes: Values a frame for ``"rgb"`` and ``"audio"``.
        min_frames, max_frames: Frames of the shortest video, at least 20 (None: half of the longest), and the longest.
        text: Whether videos have texts as a third modality; frames and labels are the same with them and without.
        segments: Whether the videos are written a third time, with rated segments.
    """

    seed: int = 0
    train: int = 2000
    validate: int = 1000
    test: int = 200
    sizes: Mapping[str, int] = field(default_factory=lambda: dict(DEMO_SIZES))
    min_frames: int | None = None
    max_frames: int = DEMO_FRAMES
    text: bool = False
    segments: bool = False

    def __post_init__(self) -> None:
        # Two settings are equal if they mean the same data, however they were given.
        object.__setattr__(self, "sizes", {name: int(self.sizes[name]) for name in sorted(self.sizes)})
        if self.min_frames is None:
            object.__setattr__(self, "min_frames", self.max_frames // 2)
        problem = None
        if set(self.sizes) != set(DEMO_SIZES) or min(self.sizes.values()) < 16:
            problem = "`sizes` must be those of rgb and audio, at least 16 values a frame: their patterns need the room"
        elif not 20 <= self.min_frames <= self.max_frames:
            problem = "the videos need at least 20 frames, for short events to last two: 20 <= min_frames <= max_frames"
        elif self.seed < 0 or self.train < 2 or self.validate < 1 or self.test < 0:
            problem = "`seed` and `test` must not be negative, `train` at least 2 and `validate` at least 1"
        if problem:
            raise UsageError(f"No such data set can be generated: {problem}. Received: {self}.")


class Stream:
    """Random numbers from PCG64's raw 64-bit words, which numpy keeps in all versions, unlike its `Generator`'s."""

    def __init__(self, *words: int):
        self._words = np.random.PCG64(np.random.SeedSequence(words)).random_raw

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        """A number in [low, high)."""
        return low + (high - low) * ((self._words() >> 11) * 2.0**-53)

    def integer(self, low: int, high: int) -> int:
        """A whole number from low to high, both included."""
        return low + self._words() % (high - low + 1)

    def sign(self) -> int:
        """-1 or 1."""
        return 1 - 2 * self.integer(0, 1)

    def permutation(self, length: int) -> np.ndarray:
        """The numbers 0 to length - 1, shuffled."""
        return np.argsort(self._words(length), kind="stable")

    def normal(self, *shape: int) -> np.ndarray:
        """Bell-shaped noise of mean 0 and deviation 1: each value is the sum of four uniform ones (exact)."""
        words = self._words(math.prod(shape)).reshape(shape)
        low = np.uint64(0xFFFF)
        total = (words & low) + (words >> np.uint64(48))
        total += (words >> np.uint64(16)) & low
        total += (words >> np.uint64(32)) & low
        return (total.astype(np.float32) - np.float32(131070)) * np.float32(math.sqrt(3) / 65536)


class Templates(NamedTuple):
    """The patterns behind the classes, class → unit vector; both classes of a pair have the same."""

    visual: Mapping[int, np.ndarray]
    audio: Mapping[int, np.ndarray]


class Video(NamedTuple):
    """A generated video: modality → uint8 (time, size); class → the frames that made the label; its texts and the
    ratings of its segments (`make_ratings`), if any.
    """

    id: str
    labels: list[int]
    frames: dict[str, np.ndarray]
    truth: dict[int, range]
    texts: list[str]
    ratings: list[tuple[int, int, bool]]


def make_templates(settings: SyntheticSettings) -> Templates:
    """The patterns of a generated data set; a function of its seed and sizes."""
    stream = Stream(settings.seed, _TEMPLATE_STREAM)
    pairs = [*pairs_of(TOGETHER), *pairs_of(ORDER)]
    visual = [*((index,) for kind in (STEADY_VISUAL, SHORT_EVENT) for index in classes_of(kind)), *pairs]
    audio = [*((index,) for index in classes_of(STEADY_AUDIO)), *pairs_of(TOGETHER)]
    templates = []
    for groups, size in ((visual, settings.sizes["rgb"]), (audio, settings.sizes["audio"])):
        patterns = zip(groups, _patterns(stream, len(groups), size), strict=True)
        templates.append({index: pattern for group, pattern in patterns for index in group})
    return Templates(*templates)


def _patterns(stream: Stream, count: int, size: int) -> np.ndarray:
    """Nearly orthogonal patterns of ±1 / sqrt(size), (count, size): a Hadamard matrix's rows, columns shuffled."""
    order = 1 << (size - 1).bit_length()
    columns = stream.permutation(order)[:size]
    signs = np.array([stream.sign() for _ in range(size)])
    rows = 1 + stream.permutation(order - 1)[:count]  # not row 0, which is constant
    common = rows[:, None] & columns[None, :]
    parity = np.zeros_like(common)
    while common.any():
        parity ^= common & 1
        common >>= 1
    return ((1 - 2 * parity) * signs / math.sqrt(size)).astype(np.float32)


def make_video(settings: SyntheticSettings, templates: Templates, *, split: str, number: int) -> Video:
    """One video, by its number in its split (``train``, ``validate``, ``test``), whatever their number."""
    words = (settings.seed, _SPLIT_STREAMS[split], number)
    stream = Stream(*words)
    time = stream.integer(settings.min_frames, settings.max_frames)
    labels = _sample_labels(stream)
    rgb, audio = (_background(stream, time, settings.sizes[name]) for name in ("rgb", "audio"))
    truth: dict[int, range] = {}
    for index in labels:
        kind = CLASS_KINDS[index]
        if kind in KINDS_IN_MEANS:
            event = kind == SHORT_EVENT
            truth[index] = _place(stream, time, event_lengths(time), 1)[0] if event else range(time)
            frames, patterns = (audio, templates.audio) if kind == STEADY_AUDIO else (rgb, templates.visual)
            _add(frames, truth[index], patterns[index], NORMS[kind] * stream.uniform(*GAINS))
    for pair in (*pairs_of(TOGETHER), *pairs_of(ORDER)):
        kind, tracks = CLASS_KINDS[pair[0]], [(rgb, templates.visual[pair[0]])]
        if kind == TOGETHER:  # the product of the two signs is the label
            tracks = [*tracks, (audio, templates.audio[pair[0]])]
        for index, sign in zip(pair, (1, -1), strict=True):
            if (
                index in labels
            ):  # of ORDER: A then B for the first class, B then A for the second, where B is -A
                truth[index] = _add_halves(stream, kind, tracks, (1, sign) if kind == TOGETHER else (sign,))
        for track in tracks if kind == TOGETHER and not {*pair} & {*labels} else ():
            if stream.uniform() < DECOY_PROBABILITY:
                _add_halves(stream, kind, (track,), (1,))
    coded = {"rgb": quantize(rgb), "audio": quantize(audio)}
    texts = make_texts(Stream(*words, _TEXT_STREAM), labels) if settings.text else []
    truth = {index: truth[index] for index in labels}
    ratings = make_ratings(Stream(*words, _RATING_STREAM), time, truth) if settings.segments else []
    return Video(f"{split}{number:06d}", labels, coded, truth, texts, ratings)


def _sample_labels(stream: Stream) -> list[int]:
    """The classes of a video, ascending. Of a pair at most one; each of the others independently."""
    chances = _proposal_probabilities()
    labels = []
    for first, second in (*pairs_of(TOGETHER), *pairs_of(ORDER)):
        sample = stream.uniform()
        if sample < chances[first]:
            labels.append(first)
        elif sample < chances[first] + chances[second]:
            labels.append(second)
    seen: list[int] = []
    while not seen:
        for kind in KINDS_IN_MEANS:
            seen += [index for index in classes_of(kind) if stream.uniform() < chances[index]]
    return sorted(labels + seen)


def _background(stream: Stream, time: int, size: int) -> np.ndarray:
    """A video's offset plus noise that each frame partly passes on to the next, shape (time, size)."""
    fresh = np.float32(math.sqrt(1 - NOISE_CARRY**2) * NOISE_DEVIATION)
    carry = np.float32(NOISE_CARRY)
    offset = stream.normal(size) * np.float32(OFFSET_DEVIATION)
    noise = stream.normal(time, size) * fresh
    noise[0] *= np.float32(1 / math.sqrt(1 - NOISE_CARRY**2))
    for step in range(1, time):
        noise[step] += carry * noise[step - 1]
    return noise + offset


def _add_halves(stream: Stream, kind: str, tracks: Sequence[tuple], signs: Sequence[int]) -> range:
    """A pattern in each track (frames, pattern), negated at half-time, so that the mean over the frames cancels."""
    time = len(tracks[0][0])
    first, second = _place(stream, time, half_lengths(time), 2)
    gain = (stream.sign() if kind == TOGETHER else 1) * NORMS[kind] * stream.uniform(*GAINS)
    for (frames, pattern), sign in zip(tracks, signs, strict=True):
        _add(frames, first, pattern, sign * gain)
        _add(frames, second, pattern, -sign * gain)
    return range(first.start, second.stop)


def _add(frames: np.ndarray, span: range, pattern: np.ndarray, gain: float) -> None:
    frames[span.start : span.stop] += np.float32(gain) * pattern


def half_lengths(time: int) -> range:
    """How many frames a half of TOGETHER or ORDER may last in a video of `time` frames."""
    return range(math.ceil(HALF_SHARE[0] * time), math.floor(HALF_SHARE[1] * time) + 1)


def event_lengths(time: int) -> range:
    """How many frames a short event may last in a video of `time` frames."""
    shortest = max(MIN_EVENT_FRAMES, math.ceil(EVENT_SHARE[0] * time))
    return range(shortest, math.floor(EVENT_SHARE[1] * time) + 1)


def _place(stream: Stream, time: int, lengths: range, pieces: int) -> list[range]:
    """Neighbouring stretches of one random length, at a random place."""
    length = stream.integer(lengths[0], lengths[-1])
    start = stream.integer(0, time - pieces * length)
    return [range(start + piece * length, start + (piece + 1) * length) for piece in range(pieces)]


def make_texts(stream: Stream, labels: Sequence[int]) -> list[str]:
    """A title and keywords of a video of these classes; the one or the other may be missing, and both."""
    title, keywords = [], []
    missing = stream.uniform() < NO_TEXT_PROBABILITY
    for index, topic in enumerate(TOPICS):
        if stream.uniform() < (TOPIC_PROBABILITY if index in labels else STRAY_PROBABILITY):
            (title if stream.uniform() < TITLE_PROBABILITY else keywords).append(topic)
    for _ in range(stream.integer(*FILLER_COUNT)):
        word = FILLERS[stream.integer(0, len(FILLERS) - 1)]
        title.insert(stream.integer(0, len(title)), word)
    texts = [" ".join(title).title(), ", ".join(keywords)]
    return [] if missing else [text for text in texts if text]


def make_ratings(stream: Stream, time: int, truth: Mapping[int, range]) -> list[tuple[int, int, bool]]:
    """Ratings of a video's segments: second at which one begins, class, whether it shows the class.

    A segment shows a class if it holds half of the frames that made the label, or of its own frames; it does not if it
    holds none of them. Those between are left out, as people rate them one way and the other.
    """
    starts, ratings = segment_starts(time), []
    for label, made in truth.items():
        held = {start: len({*made} & {*range(start, start + SEGMENT_SECONDS)}) for start in starts}
        enough = min(SEGMENT_SECONDS, len(made)) / 2
        for present in (True, False):
            found = [start for start, count in held.items() if (count >= enough if present else not count)]
            ratings += [(found[i], label, present) for i in stream.permutation(len(found))[:RATED_SEGMENTS]]
    others = [label for label in range(NUM_CLASSES) if label not in truth]
    for place in stream.permutation(len(others))[:RATED_OTHERS]:
        ratings.append((starts[stream.integer(0, len(starts) - 1)], others[place], False))
    return sorted(ratings)


def synthesize(out: str | os.PathLike, **settings) -> Path:
    """Generate a data set in YouTube-8M's format whose classes come in known kinds (`KINDS`); returns its folder.

    The same settings give the same bytes. The folder appears when it is finished; one that is already there with
    the same settings is left as it is. Full dimensions: ``sizes=FULL_SIZES, max_frames=FULL_FRAMES``.

    Args:
        out: The folder to make. It holds the frame level, its folder ``video`` the video level, ``segments`` (if asked
            for) the frame level with ratings, which `open_dataset(out / "segments", unit="segment")` reads.
        settings: The attributes of `SyntheticSettings`: `seed`, `train`, `validate`, `test`, `sizes`, `min_frames`,
            `max_frames`, `text`, `segments`.

    Raises:
        UsageError: Invalid settings, or a folder that holds something else or cannot be written.

    Differs from the paper: its data are YouTube-8M's; these are generated, as their name states.
    """
    settings = SyntheticSettings(**settings)
    if is_remote(out):
        raise UsageError(f"Data are generated in a local folder. Received: {out}. Copy them there later.")
    out = Path(out)
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        found = read_settings(out)
        if found == settings:
            return out
        what = f"a data set generated from other settings ({found})" if found else "something else"
        raise UsageError(f"{out} already holds {what}; nothing is overwritten. Name another folder.")
    with new_folder(out) as folder:
        _write(folder, settings)
    return out


def read_settings(folder: str | os.PathLike) -> SyntheticSettings | None:
    """The settings a finished generated data set was made from; None if the folder is not one of this version."""
    folder = Path(folder)
    if not (folder / schema.DATASET_TOML).is_file() or not (folder / _SETTINGS).is_file():
        return None
    record = json.loads((folder / _SETTINGS).read_text())
    return SyntheticSettings(**record["settings"]) if record["version"] == VERSION else None


def _write(folder: Path, settings: SyntheticSettings) -> None:
    templates, labels = make_templates(settings), Counter()
    counts, truth_files = {}, {}
    splits = {split: count for split in _SPLIT_STREAMS if (count := getattr(settings, split))}
    per_shard = -(-settings.train // _TRAIN_SHARDS)
    levels = ("frame", "video", *(["segments"] if settings.segments else []))
    for split, total in splits.items():
        truth: dict[str, dict[int, list[int]]] = {}
        for shard, start in enumerate(range(0, total, per_shard)):
            numbers = range(start, min(start + per_shard, total))
            videos = [make_video(settings, templates, split=split, number=number) for number in numbers]
            name = f"{split}{shard:04d}.tfrecord"
            for level in levels:
                records = (_serialize(video, level, labelled=split != "test") for video in videos)
                counts[name] = write_shard(folder / level / name, records)
            truth |= {each.id: {label: [*frames] for label, frames in each.truth.items()} for each in videos}
            if split == "train":
                labels.update(label for video in videos for label in video.labels)
        if split != "test":
            truth_files[split] = f"truth-{split}.json"
            for root in (folder, folder / "segments")[: len(levels) - 1]:
                (root / truth_files[split]).write_text(json.dumps(truth, separators=(",", ":")))
    # A data set without texts or ratings is to the byte what it was before there were any.
    written = {name: value for name, value in asdict(settings).items() if value is not False}
    (folder / _SETTINGS).write_text(json.dumps({"version": VERSION, "settings": written}, indent=2) + "\n")
    # The dataset.toml that makes the folder a data set comes last.
    for level in reversed(levels):
        root, prefix = (folder, "frame/") if level == "frame" else (folder / level, "")
        means = level == "video"
        with (root / _VOCABULARY).open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(("Index", "TrainVideoCount", "KnowledgeGraphId", "Name", "Kind"))
            for index, (name, kind) in enumerate(zip(class_names(), CLASS_KINDS, strict=True)):
                table.writerow((index, labels[index], f"/generated/{index:02d}", name, kind))
        coding, mean = ("float", "mean_") if means else ("byte", "")
        features = {name: Feature(name, settings.sizes[name], coding, mean + name) for name in DEMO_SIZES}
        if settings.text:
            features[TEXT] = Feature(TEXT, TEXT_SIZE, TEXT, TEXT)
        schema.write_dataset_toml(
            str(root),
            name=f"generated data{' with texts' if settings.text else ''}, "
            f"{'rated segments' if level == 'segments' else f'{level} level'}, seed {settings.seed}",
            level="video" if means else "frame",
            features=features,
            num_classes=NUM_CLASSES,
            splits={split: [f"{prefix}{split}*.tfrecord"] for split in splits},
            vocabulary=_VOCABULARY,
            generated=True,
            records_per_shard=per_shard,
            truth=None if means else truth_files,
            counts={prefix + name: count for name, count in counts.items()},
        )


def _serialize(video: Video, level: str, *, labelled: bool) -> bytes:
    texts = {TEXT: video.texts} if video.texts else None
    context = {"video_id": video.id, "labels": video.labels if labelled else None, "texts": texts}
    if level != "video":
        ratings = video.ratings if level == "segments" and labelled else None
        return serialize_frames(**context, frames=video.frames, ratings=ratings)
    # The mean of the dequantised frames; sums of bytes are exact in any order.
    means = {
        f"mean_{name}": frames.sum(axis=0, dtype=np.int64) / len(frames) * schema.SCALE + schema.OFFSET
        for name, frames in video.frames.items()
    }
    return serialize_video(**context, features=means)
