"""What came out of a comparison, as values."""

from __future__ import annotations

from dataclasses import dataclass

from dmlkit.comparison import wording
from dmlkit.metrics import Interval, Spread

SHOWN = 5


@dataclass(frozen=True)
class Side:
    """One side: runs of one experiment under one profile, one a seed.

    Args:
        name, title: The experiment's.
        profile: The profile's name.
        seeds, paths: Of the runs, in the same order as the values of `gaps`.
        gaps: GAP@20 on the validation part under each seed, with its `mean`, `deviation`, `low` and `high`.
    """

    name: str
    title: str
    profile: str
    seeds: tuple[int, ...]
    paths: tuple[str, ...]
    gaps: Spread

    def to_record(self) -> dict:
        """Plain values."""
        return {
            "name": self.name,
            "title": self.title,
            "profile": self.profile,
            "runs": [
                {"seed": seed, "gap": gap, "path": path}
                for seed, gap, path in zip(self.seeds, self.gaps.values, self.paths, strict=True)
            ],
            "gap_mean": self.gaps.mean,
            "gap_deviation": self.gaps.deviation,
            "gap_low": self.gaps.low,
            "gap_high": self.gaps.high,
        }


@dataclass(frozen=True)
class ClassChange:
    """Average precision of one class under both sides, the mean over seeds, and A's minus B's."""

    number: int
    name: str
    videos: int
    a: float
    b: float
    difference: float


@dataclass(frozen=True, repr=False)
class Comparison:
    """Two sides on the same videos.

    Args:
        a, b: The sides.
        data, generated, fingerprint: Of the data both were scored on.
        videos: How many validate.
        difference: Mean GAP@20 of A minus that of B.
        interval: Where the difference lies over draws of the videos, the same draws for every run.
        a_ahead: The share of draws in which A is higher; one without a difference counts half.
        level, resamples, seed: Of the interval.
        least: Classes of fewer videos are not in `classes`.
        classes: Those A gains most first.
        notes: What a reader must know besides.
    """

    a: Side
    b: Side
    data: str
    generated: bool
    fingerprint: str
    videos: int
    difference: float
    interval: Interval
    a_ahead: float
    level: float
    resamples: int
    seed: int
    least: int
    classes: tuple[ClassChange, ...]
    notes: tuple[str, ...]

    @property
    def excludes_zero(self) -> bool:
        """Whether the whole interval lies on one side of 0."""
        return self.interval.low > 0 or self.interval.high < 0

    def gained(self, most: int = SHOWN) -> list[ClassChange]:
        """The classes in which A is furthest ahead of B, at most so many."""
        return [change for change in self.classes[: max(0, most)] if change.difference > 0]

    def lost(self, most: int = SHOWN) -> list[ClassChange]:
        """The classes in which A is furthest behind B, at most so many."""
        return [change for change in self.classes[::-1][: max(0, most)] if change.difference < 0]

    def text(self, *, classes: int = SHOWN) -> str:
        """The comparison for a terminal.

        Args:
            classes: How many classes are shown on either side.
        """
        return wording.text(self, classes=classes)

    def to_record(self) -> dict:
        """Plain values, for JSON."""
        return {
            "a": self.a.to_record(),
            "b": self.b.to_record(),
            "data": {"name": self.data, "generated": self.generated, "fingerprint": self.fingerprint},
            "videos": self.videos,
            "difference": self.difference,
            "interval": list(self.interval),
            "excludes_zero": self.excludes_zero,
            "a_ahead": self.a_ahead,
            "level": self.level,
            "resamples": self.resamples,
            "seed": self.seed,
            "least": self.least,
            "classes": [dict(vars(change)) for change in self.classes],
            "notes": list(self.notes),
        }

    def __repr__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        return wording.page(self, classes=SHOWN)
