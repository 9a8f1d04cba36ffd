"""The videos of a part that can be chosen: by id, by class, each with the words a picker shows."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from dmlkit.errors import DataError, UsageError, nearest
from dmlkit.explorer.given import class_key
from dmlkit.text import readable, shorten


class Listing:
    """The first videos of a part.

    Args:
        dataset: What `open_dataset` gives.
        split: The part.
        most: How many videos at most.
        ids: The part's ids in its order, where somebody knows them already; None reads them.
        truth: Beside the ids, (videos, classes) bool; None where the part has no labels.

    Attributes:
        among: Which videos these are, in words: "these 30 videos", or "the first 5,000 of 20,000 videos" and why.
        raw_ids: The videos as the records name them.
        ids: The same, each of them once.
        truth: (videos, classes) bool, or None.
        all_there: Whether these are all videos of the part.

    Raises:
        DataError: The part holds no videos, or cannot be read.
    """

    def __init__(
        self,
        dataset,
        split: str,
        *,
        most: int,
        ids: list[str] | None = None,
        truth: np.ndarray | None = None,
    ):
        self._dataset, self._split = dataset, split
        if ids is None:
            ids, truth = self._read(most)
        self.raw_ids = ids[:most]
        self.ids = distinct(self.raw_ids, what="video")
        self.truth = None if truth is None else truth[:most]
        total = dataset.num_videos(split)
        self.among = (
            f"these {total:,} videos"
            if total <= most
            else f"the first {most:,} of {total:,} videos (max_videos={most} sets how many)"
        )
        self.all_there = total <= most

    @cached_property
    def labels(self) -> dict[str, str]:
        """Id → id and labels in words."""
        if self.truth is None:
            return {name: name for name in self.ids}
        short = [shorten(name) for name in self.class_names]
        said = (", ".join(short[label] for label in np.flatnonzero(row)) for row in self.truth)
        return {
            name: f"{shorten(name, 60)} · {words or 'no label'}"
            for name, words in zip(self.ids, said, strict=True)
        }

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        """The classes' names as they can be shown."""
        return readable(self._dataset.class_names)

    @cached_property
    def classes(self) -> dict[int, int]:
        """Class → how many of the videos have it; those that occur, by their numbers."""
        counts = np.zeros(0, int) if self.truth is None else self.truth.sum(axis=0)
        return {int(label): int(counts[label]) for label in np.flatnonzero(counts)}

    def videos_of(self, label: int | str) -> list[str]:
        """The ids of the videos that have a class.

        Raises:
            UsageError: An unknown class, or a part without labels.
        """
        truth, (number,) = self.need_truth(), self.numbers([label])
        return [self.ids[row] for row in np.flatnonzero(truth[:, number])]

    def need_truth(self) -> np.ndarray:
        """(videos, classes) bool.

        Raises:
            UsageError: The part has no labels.
        """
        if self.truth is None:
            raise UsageError(f"The '{self._split}' part of {self._dataset.name} carries no labels to go by.")
        return self.truth

    def place_of(self, video: str) -> int:
        """The place of a video in the part.

        Raises:
            UsageError: It is not among these.
        """
        if video not in self._places:
            raise UsageError(f"There is no video {video!r} among {self.among}.{nearest(video, self._places)}")
        return self._places[video]

    def numbers(self, classes: Sequence[int | str]) -> tuple[int, ...]:
        """Classes by number or name as numbers, each of them once.

        Raises:
            UsageError: There is no such class.
        """
        known, found = self.class_names, []
        for each in classes:
            each = class_key(each)
            label = self._label_of.get(each, -1) if isinstance(each, str) else each
            if not 0 <= label < len(known):
                hint = nearest(each, known) if isinstance(each, str) else ""
                raise UsageError(f"{self._dataset.name} has no class {each!r} among its {len(known)}.{hint}")
            found.append(label)
        return tuple(dict.fromkeys(found))

    @cached_property
    def _places(self) -> dict[str, int]:
        return {name: place for place, name in enumerate(self.ids)}

    @cached_property
    def _label_of(self) -> dict[str, int]:
        return {name: label for label, name in reversed(list(enumerate(self.class_names)))}

    def _read(self, most: int) -> tuple[list[str], np.ndarray | None]:
        # One frame a video is enough to know it by.
        batches = list(self._dataset.batches(self._split, batch_size=256, max_frames=1, max_videos=most))
        if not batches:
            raise DataError(f"The '{self._split}' part of {self._dataset.name} holds no videos.")
        labels = [batch["labels"] > 0 for batch in batches if "labels" in batch]
        ids = [name for batch in batches for name in batch["id"].tolist()]
        return ids, np.concatenate(labels) if labels else None


def distinct(names: Sequence[str], *, what: str = "run") -> list[str]:
    """The names, each of them once: empty ones and those that come again are told by their place.

    Args:
        names: Any texts.
        what: What an empty one is called.
    """
    seen: set[str] = set()
    found = []
    for place, name in enumerate(names):
        name = name if name and name not in seen else f"{name or what} ({place + 1})"
        seen.add(name)
        found.append(name)
    return found
