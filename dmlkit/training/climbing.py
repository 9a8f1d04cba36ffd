"""Epoch by epoch, until the budget is spent or the tuning part has not gained for long enough."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras

from dmlkit.data import Skipped
from dmlkit.errors import DataError
from dmlkit.predictions import Predictions
from dmlkit.profiles import Profile
from dmlkit.training import checkpoint
from dmlkit.training.averaging import averaged
from dmlkit.training.keeping import keep
from dmlkit.training.progress import Lines
from dmlkit.training.solving import solve


@dataclass(frozen=True, kw_only=True)
class Climb:
    """One training's way from its first epoch, or its checkpoint, to its last.

    Args:
        model: What is scored and kept.
        learning: What is trained: the model itself, or a `tricks.Learner` of the same weights.
        dataset, profile: What this worker reads, and how.
        team: Where it trains (`dmlkit.training.strategies`).
        skipped: What happens at a faulty record, and which were met.
        seed: Of the videos' order.
        videos: How many all workers train on in an epoch.
        batches: In an epoch, the same for all workers.
        epochs: How many there are at most.
        title: What the training is called on the screen.
        show: How its progress is told.
        folder: The run's, for checkpoints.
        every: Seconds between two checkpoints within an epoch.

    Paper: §Optimization.
    """

    model: keras.Model
    learning: keras.Model
    dataset: object
    profile: Profile
    team: object
    skipped: Skipped
    seed: int
    videos: int
    batches: int
    epochs: int
    title: str
    show: Lines
    folder: Path
    every: float

    def go_on(self, done: checkpoint.Progress, *, tell: Sequence[Callable[[dict], None]] = ()) -> None:
        """Train from where a training stands to its end.

        Args:
            done: Brought up to date; a fresh one for a training from the start.
            tell: Called by the chief after each epoch with its row of the history.

        Raises:
            DataError: The loss is no number any more, or a record cannot be read.
        """
        while not self._ended(done):
            since = time.monotonic()
            saver = checkpoint.MidEpoch(self.folder, done, every=self.every if self.team.chief else math.inf)
            self._fit(done, saver)
            done.epoch += 1
            judged = self._judge(done)
            self.team.count(self.skipped)
            done.seconds += time.monotonic() - saver.started
            row = {
                "epoch": done.epoch,
                "examples": done.epoch * self.videos,
                "loss": done.loss,
                **judged,
                # What is solved for has none.
                "learning_rate": 0.0 if self.profile.ridge else float(self.learning.optimizer.learning_rate),
                "seconds": round(time.monotonic() - since, 3),
            }
            done.history.append(row)
            done.batches, done.loss, done.metrics = 0, 0.0, []
            if self.team.chief:
                checkpoint.save(self.folder, self.learning, done)
                self.show.epoch(row, epochs=self.epochs)
                for each in tell:
                    each(row)

    def _ended(self, done: checkpoint.Progress) -> bool:
        """Whether the budget is spent, or patience; within a cycle nobody knows yet what it comes to."""
        waited = done.epoch - done.best_epoch >= self.profile.patience
        return done.epoch >= self.epochs or (waited and done.epoch in self.profile.moments)

    def _judge(self, done: checkpoint.Progress) -> dict:
        """How good the tuning part finds the epoch that has ended, for the history; the best weights are remembered."""
        with averaged(self.learning):
            gap = self.team.gap(self.team.each(lambda: self._own_scores("tuning")))
            weights = self.model.get_weights()
        if gap > done.best_gap:
            done.best_gap, done.best_epoch, done.best_weights = gap, done.epoch, weights
        if self.team.chief:
            keep(self.folder, weights, self.profile, epoch=done.epoch)
        return {"tuning_gap": gap}

    def scores(self, part: str) -> Predictions:
        """The model's scores of a whole part, for the chief."""
        own = self.team.each(lambda: self._own_scores(part))
        joined = self.team.join(own, self.folder, part)
        self.team.count(self.skipped)
        return joined

    def _fit(self, done: checkpoint.Progress, saver: checkpoint.MidEpoch) -> None:
        """What is left of the epoch under way."""
        examples = self.dataset.batches(
            "train",
            batch_size=self.profile.batch_size,
            shuffle=True,
            seed=self.seed,
            epoch=done.epoch,
            frame_choice=self.profile.frame_choice,
            max_frames=self.profile.max_frames,
            frame_share=self.profile.frame_share,
            max_videos=self.profile.max_train_videos,
            on_fault=self.skipped,
            balance=self.profile.class_balance,
        )
        if self.profile.ridge:
            done.loss = solve(self.model, examples, ridge=self.profile.ridge)
            return
        bar = self.show.callbacks(
            title=self.title,
            epoch=done.epoch,
            epochs=self.epochs,
            batches=self.batches,
            done=done.batches,
        )
        # A training that was killed between the last batch and the tuning part has nothing left to fit.
        if done.batches < self.batches:
            self.team.fit(self.learning, examples, done, batches=self.batches, callbacks=[saver, *bar])
        if not math.isfinite(done.loss):
            raise DataError(
                f"The loss of {self.title} is not a number after epoch {done.epoch + 1}: training has diverged. "
                f"Choose a lower learning rate than {self.profile.learning_rate}."
            )

    def _own_scores(self, part: str) -> Predictions:
        return self.team.predict(self.model, self.dataset, part, profile=self.profile, on_fault=self.skipped)
