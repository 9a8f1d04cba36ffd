"""Where evidence comes from: trained models on a data set, or anybody's arrays.

Both sources have

    title, data, generated, note, can_remove     what the view says of them
    runs                                          what the models are called
    videos                                        id → what the picker calls it
    among                                         which videos these are, in words
    evidence(video, classes=…, removed=…)         one `Evidence` a run

and models also know which videos have a class, and which they were most wrong about.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Sequence
from functools import cached_property

import numpy as np

from dmlkit.errors import DataError, UsageError
from dmlkit.explorer.array_source import ArraySource
from dmlkit.explorer.evidence import Evidence, highest_and_true
from dmlkit.explorer.given import whole
from dmlkit.explorer.listing import Listing, distinct
from dmlkit.explorer.mistakes import losses, say_mistake
from dmlkit.explorer.weighing import as_mask
from dmlkit.text import shorten

__all__ = ["ArraySource", "ModelSource"]

MOST_RUNS = 3
# Videos whose parts are kept, so that going back to one costs nothing.
REMEMBERED = 8


class ModelSource:
    """Up to three trained models on one part of a data set.

    Args:
        runs: A `Run`, the path of one or a keras model, or up to three of them.
        data: What `open_dataset` gives, or its path.
        split: The part.
        max_videos: Of the part's first videos, how many can be chosen.

    Raises:
        UsageError: A model without attention (the message says who has it), other data, too many runs.
        DataError: A run or the data are gone or cannot be read.
    """

    can_remove = True

    def __init__(self, runs, data, *, split: str = "validate", max_videos: int = 5000):
        # Not at the top: a view of plain arrays needs neither.
        from dmlkit.data import VideoReader, as_dataset
        from dmlkit.explorer.opened_run import OpenedRun

        several = (
            list(runs) if isinstance(runs, Sequence) and not isinstance(runs, str | os.PathLike) else [runs]
        )
        if not 1 <= len(several) <= MOST_RUNS:
            raise UsageError(f"Between 1 and {MOST_RUNS} runs stand side by side. Received: {len(several)}.")
        if whole(max_videos, "max_videos") < 1:
            raise UsageError(
                f"There must be at least one video to look at. Received: max_videos={max_videos}."
            )
        if not isinstance(data, str | os.PathLike) and not hasattr(data, "level"):
            raise UsageError(f"data: expected a data set or its path. Received: {data!r:.80}.")
        self.dataset = as_dataset(data)
        self._places, self.split = VideoReader(self.dataset, split), split
        self.opened = [OpenedRun(each, self.dataset) for each in several]
        self.runs = distinct([each.title for each in self.opened])
        self._most, self._seen, self._scored, self._warm = max_videos, OrderedDict(), {}, False

    @property
    def title(self) -> str:
        """What stands over the view."""
        return f"Where {' and '.join(self.runs)} look{'s' if len(self.runs) == 1 else ''}"

    @property
    def data(self) -> str:
        """What the data set is called."""
        return shorten(self.dataset.name, 80)

    @property
    def generated(self) -> bool:
        """Whether the videos were made up."""
        return self.dataset.generated

    @property
    def note(self) -> str | None:
        """What else a reader should know; None where there is nothing."""
        strange = [
            name for name, each in zip(self.runs, self.opened, strict=True) if not each.on_its_own_data
        ]
        said = [f"Trained on other data than these: {', '.join(strange)}."] if strange else []
        if not self.listing.all_there:
            said.append(f"To be chosen from: {self.among} of the part '{self.split}'.")
        return " ".join(said) or None

    @property
    def among(self) -> str:
        """Which videos these are, in words."""
        return self.listing.among

    @property
    def videos(self) -> dict[str, str]:
        """Id → what the picker calls the video: its id and its labels."""
        return self.listing.labels

    @property
    def classes(self) -> dict[int, int]:
        """Class → how many of the videos have it, those that occur, by their numbers."""
        return self.listing.classes

    def videos_of(self, label: int | str) -> list[str]:
        """The ids of the videos that have a class.

        Raises:
            UsageError: An unknown class, or a part without labels.
        """
        return self.listing.videos_of(label)

    def worst(self, *, run: int = 0, limit: int = 50) -> dict[str, str]:
        """The videos a model was most wrong about, the worst first.

        A run's stored scores serve where it has them of this part; else the model looks at every video once.

        Args:
            run: Whose mistakes, by its place.
            limit: How many.

        Returns:
            Id → what it got wrong, in words.

        Raises:
            UsageError: A part without labels.
        """
        ids, truth = self.listing.ids, self.listing.need_truth()
        scores = self._scores(run)
        order = np.argsort(-losses(scores, truth), kind="stable")[:limit]
        names = self.listing.class_names
        return {
            ids[row]: say_mistake(scores[row], np.flatnonzero(truth[row]).tolist(), names) for row in order
        }

    def evidence(
        self, video: str, *, classes: Sequence[int | str] | None = None, removed: Sequence[int] = ()
    ) -> tuple[Evidence, ...]:
        """What each model makes of a video.

        Args:
            video: Its id.
            classes: Which classes are carried, by number or name; None: those that any of the models scores
                highest and the true ones, the same for all runs.
            removed: Frames, by their number in the first run's evidence, taken out before the video is encoded.
                The evidence then has only the other frames, and the same classes.

        Raises:
            UsageError: An unknown video, class or frame, or no frame left.
            DataError: The video cannot be read, or a model's weights are no numbers.
        """
        from dmlkit.explorer.opened_run import without

        clips, parts, true = self.look(video)
        carried = (
            self.listing.numbers(classes)
            if classes is not None
            else highest_and_true(np.max([part.scores for part in parts], axis=0), true)
        )
        gone = as_mask(removed, len(clips[0].frames))
        seconds = clips[0].frames[gone]
        found = []
        for place, (run, clip) in enumerate(zip(self.opened, clips, strict=True)):
            part = parts[place]
            if len(seconds):
                clip = without(clip, np.isin(clip.frames, seconds))
                if not len(clip.frames):
                    raise UsageError(f"No frame of {video} is left to encode. Give some of them back.")
                part = run.parts(clip)
            found.append(self._evidence(video, place, clip, part, carried, true))
        return tuple(found)

    def _evidence(self, video, place, clip, part, carried, true) -> Evidence:
        from dmlkit.explorer.opened_run import energy_and_change

        energy, change = energy_and_change(clip, self.dataset)
        try:
            return Evidence(
                video=video,
                run=self.runs[place],
                times=clip.frames,
                weights=part.weights,
                logits=part.logits,
                classes=carried,
                names=tuple(self.listing.class_names[label] for label in carried),
                scores=part.scores[list(carried)],
                true=true,
                planted={
                    label: np.isin(clip.frames, made) for label, made in self.truth.get(video, {}).items()
                },
                energy=energy,
                change=change,
                **self.opened[place].told(part, carried),
            )
        except DataError as error:
            # The video's own features may hold what is no number; only a model can have diverged.
            if not all(np.isfinite(row).all() for row in energy.values()):
                raise
            raise DataError(
                f"{error} A model says this when its training diverged: train it with a lower learning rate."
            ) from error

    def look(self, video: str) -> tuple[list, list, tuple[int, ...] | None]:
        """The frames each run reads of a video, what it makes of them, and the true labels.

        Args:
            video: Its id.

        Returns:
            A `Clip` a run, `AttentionParts` a run, and the labels, None where they are not known.

        Raises:
            UsageError: An unknown video.
            DataError: It cannot be read.
        """
        place = self.listing.place_of(video)
        if video in self._seen:
            self._seen.move_to_end(video)
            return self._seen[video]
        read = self._places.read(place)
        clips = [run.clip(read) for run in self.opened]
        if not self._warm:
            for run, clip in zip(self.opened, clips, strict=True):
                run.warm(clip)
            self._warm = True
        parts = [run.parts(clip) for run, clip in zip(self.opened, clips, strict=True)]
        true = tuple(np.flatnonzero(read["labels"][0]).tolist()) if "labels" in read else None
        self._seen[video] = clips, parts, true
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        return self._seen[video]

    @cached_property
    def listing(self) -> Listing:
        """The videos that can be chosen."""
        told = self.opened[0].predictions(self.split)
        ids, truth = (told.ids.tolist(), told.labels) if told else (None, None)
        return Listing(self.dataset, self.split, most=self._most, ids=ids, truth=truth)

    @cached_property
    def truth(self) -> dict:
        """Id → class → the frames that made the label; empty where the data do not say."""
        return self.dataset.truth(self.split)

    def _scores(self, run: int) -> np.ndarray:
        if run not in self._scored:
            videos = len(self.listing.ids)
            told = self.opened[run].predictions(self.split)
            stored = told is not None and told.ids[:videos].tolist() == self.listing.raw_ids
            self._scored[run] = (
                told.scores[:videos] if stored else self.opened[run].predict(self.split, videos)
            )
        return self._scored[run]
