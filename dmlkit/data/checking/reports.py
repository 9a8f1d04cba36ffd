"""What a check found, as one record for other programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from dmlkit.data.checking.tallies import Fault, Tally
from dmlkit.data.checking.targets import Target

# Of the record that `to_record` makes. An entry that is taken away or means something else makes it another version;
# one that is added does not.
SCHEMA = 1
CLASSES_NAMED = 5
BINS = 10


@dataclass(frozen=True)
class SetReport:
    """One data set.

    Attributes:
        target: What was checked.
        total: What was counted.
        splits: The same, a split.
        faults: In full, as many as were kept, in the order of the shards.
        empty_shards: Shards without a record.
    """

    target: Target
    total: Tally
    splits: dict[str, Tally]
    faults: tuple[Fault, ...]
    empty_shards: int

    @property
    def whole(self) -> bool:
        """Whether nothing is wrong."""
        return not self.total.faults

    @cached_property
    def num_classes(self) -> int:
        """What the data set says; where nothing does, one more than the highest class that occurs."""
        known = self.target.expected.num_classes
        return max(self.total.classes, default=-1) + 1 if known is None else known

    def ranked_classes(self) -> list[tuple[int, str, int]]:
        """Number, name and videos of each class that occurs, the commonest first."""
        names = self.target.class_names
        ranked = sorted(self.total.classes.items(), key=lambda each: (-each[1], each[0]))
        return [
            (number, names[number] if number < len(names) else f"class {number}", videos)
            for number, videos in ranked
        ]

    def to_record(self) -> dict:
        """Plain values; `Report.to_record` says what they mean."""
        expected, total = self.target.expected, self.total
        ranked = [
            {"class": number, "name": name, "videos": videos}
            for number, name, videos in self.ranked_classes()
        ]
        return {
            "path": self.target.path,
            "name": self.target.name,
            "whole": self.whole,
            "level": expected.level,
            "release": self.target.release,
            "features": [dict(vars(feature)) for feature in expected.features],
            "num_classes": self.num_classes,
            "shards": sum(map(len, self.target.splits.values())),
            "empty_shards": self.empty_shards,
            "bytes": total.bytes,
            "records": total.records,
            "good_records": total.good,
            "splits": {
                split: {
                    "shards": len(self.target.splits[split]),
                    "records": tally.records,
                    "without_labels": tally.labels[0],
                }
                for split, tally in self.splits.items()
            },
            "frames": _spread(total.frames),
            "labels": _spread(Counter({held: videos for held, videos in total.labels.items() if held})),
            "without_labels": total.labels[0],
            "without_id": total.unnamed,
            "missing": dict(sorted(total.missing.items())),
            "classes": {
                "occur": len(ranked),
                "commonest": ranked[:CLASSES_NAMED],
                "rarest": ranked[::-1][:CLASSES_NAMED],
            },
            "faults": {
                "total": total.faults.total(),
                "by_kind": dict(sorted(total.faults.items())),
                "list": [fault._asdict() for fault in self.faults],
            },
        }


@dataclass(frozen=True)
class Report:
    """What a check found.

    Attributes:
        sets: The data sets, in the order in which they were named.
        seconds: How long it took.
        processes: How many there could be at a time.
    """

    sets: tuple[SetReport, ...]
    seconds: float
    processes: int

    @property
    def whole(self) -> bool:
        """Whether nothing is wrong anywhere."""
        return all(each.whole for each in self.sets)

    def to_record(self) -> dict:
        """All of it, as ``dmlkit data check --json`` prints it.

        Returns:
            ``schema`` (1), ``whole``, ``seconds``, ``processes`` and ``sets``, one entry a data set:

            * ``path``, ``name``, ``whole``; ``level`` (``"video"``, ``"frame"``, None where no record tells),
              ``release`` (``"YouTube-8M 2017"``, ``"YouTube-8M 2018"``, ``"AudioSet"``, ``"generated data"``, None for
              one's own), ``features`` (name, size, coding, key), ``num_classes``
            * ``shards``, ``empty_shards``, ``bytes``, ``records`` (all that could be told apart), ``good_records``
            * ``splits``: name → shards, records, without_labels
            * ``frames`` a video, and ``labels`` a video that has any: min, median, mean, max, and ``bins`` of from, to
              (both within) and videos; None where there are none
            * ``without_labels``, ``without_id``: videos; ``missing``: modality → videos that lack it
            * ``classes``: how many ``occur``; the ``commonest`` and ``rarest`` of those (class, name, videos)
            * ``faults``: ``total``, ``by_kind`` and ``list`` of shard, record, byte, kind, what (record and byte are
              None where a file as a whole is meant; of ids that stand twice at most 10,000 are listed)
        """
        return {
            "schema": SCHEMA,
            "whole": self.whole,
            "seconds": round(self.seconds, 3),
            "processes": self.processes,
            "sets": [each.to_record() for each in self.sets],
        }

    def text(self, *, faults: int = 20) -> str:
        """The same for people.

        Args:
            faults: How many faults of a data set are shown in full.
        """
        from dmlkit.data.checking.telling import told

        return told(self, faults=faults)


def _spread(counts: Counter[int]) -> dict | None:
    """Whole numbers and how often each occurs, in a few figures."""
    if not counts:
        return None
    videos, ranked = counts.total(), sorted(counts)
    middle = [_at(counts, ranked, place) for place in ((videos - 1) // 2, videos // 2)]
    return {
        "min": ranked[0],
        "median": sum(middle) / 2,
        "mean": sum(value * count for value, count in counts.items()) / videos,
        "max": ranked[-1],
        "bins": [
            {
                "from": low,
                "to": high,
                "videos": sum(counts[value] for value in ranked if low <= value <= high),
            }
            for low, high in _bins(ranked[0], ranked[-1])
        ],
    }


def _at(counts: Counter[int], ranked: list[int], place: int) -> int:
    """The value at a place of all values in order."""
    for value in ranked:
        place -= counts[value]
        if place < 0:
            return value
    raise IndexError(place)


def _bins(low: int, high: int) -> Iterator[tuple[int, int]]:
    """At most `BINS` spans of a round width that hold all between two numbers."""
    widths = (10**power * step for power in range(20) for step in (1, 2, 5))
    width = next(width for width in widths if high // width - low // width < BINS)
    for start in range(low // width * width, high + 1, width):
        yield start, start + width - 1
