"""A training on several replicas: the same answers as `dmlkit.training.strategies.OneDevice` gives for one."""

from __future__ import annotations

import json
import math
from contextlib import AbstractContextManager
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from dmlkit.data import Skipped
from dmlkit.errors import DataError
from dmlkit.metrics import TopPairs, gap_of_pairs, top_pairs
from dmlkit.predictions import Predictions, put_together
from dmlkit.training.scoring import predict
from dmlkit.training.workers.division import divide
from dmlkit.training.workers.reading import Reading, pieces_of
from dmlkit.training.workers.refusing import check_model
from dmlkit.training.workers.step import Scorer, Step, SummedAdam, spread_seeds, variables_of
from dmlkit.training.workers.team import Team

PAIRS = ("scores", "correct", "true_labels")


class Replicas(Team):
    """Devices and workers that train together.

    Args:
        name: What the run's record calls it.
        strategy: TensorFlow's.
        cluster: As for `Team`.
    """

    def __init__(self, name: str, strategy: tf.distribute.Strategy, cluster=None):
        super().__init__(cluster)
        self.name, self.strategy = name, strategy
        self.replicas = strategy.num_replicas_in_sync
        self._step = self._scorer = None

    def scope(self) -> AbstractContextManager:
        """Around the building of the model."""
        return variables_of(self.strategy)

    def share(self, dataset, profile, *, skipped) -> tuple:
        """The data set and the profile by which this worker reads its part."""
        if self.workers == 1:
            return dataset, profile
        return divide(dataset, profile, index=self.index, workers=self.workers, skipped=skipped)

    def videos(self, own: dict[str, int]) -> dict[str, int]:
        """How many videos all workers have of each part, from how many this one has."""
        return dict(zip(own, self.sum(*own.values()), strict=True))

    def batches(self, videos: int, batch_size: int) -> int:
        """Batches an epoch: as many as the worker with the most needs; the others go on without videos."""
        return self.most(math.ceil(videos / batch_size))

    def compile(self, model: keras.Model, *, learning_rate, clip_norm: float, ema: float, xla: bool) -> None:
        """Give the model its optimiser, and the functions that all replicas run.

        Raises:
            OneDeviceError: Several would compute something else than one.
        """
        check_model(model, replicas=self.replicas, ema=ema)
        model.optimizer = SummedAdam(learning_rate, clipnorm=clip_norm)
        self._step = Step(model, self.strategy, xla=xla)
        self._scorer = Scorer(model, self.strategy, pieces_of)

    def start(self, model: keras.Model) -> None:
        """The weights are set: each replica gets its own seed of dropout."""
        spread_seeds(model, self.strategy, first=self.index * self._step.pieces)

    def fit(self, model: keras.Model, examples, done, *, batches: int, callbacks) -> None:
        """Train on what is left of an epoch of so many batches.

        Raises:
            DataError: This worker or another met a record that cannot be read.
            WorkerGoneError: Another worker has ended.
        """
        heard = keras.callbacks.CallbackList(callbacks, model=model)
        heard.on_train_begin()
        heard.on_epoch_begin(0)
        reading = Reading(examples, skip=done.batches)
        total, seen = (float(value) for value in done.metrics) if done.metrics else (0.0, 0.0)
        try:
            for batch in range(batches - done.batches):
                pieces, problem = reading.next(self._step.pieces)
                counts = [counts for _, _, counts in pieces]
                videos, frames, problems = self.sum(*map(sum, zip(*counts, strict=True)), problem is not None)
                if problems:
                    self.fail_together(problem)
                # Where records are left out, a batch may be empty on all workers.
                if videos:
                    with self.peers():
                        total += videos * self._step(pieces, videos=videos, frames=frames)
                    seen += videos
                done.metrics = [np.array(total), np.array(seen)]
                heard.on_train_batch_end(batch, {"loss": total / max(seen, 1.0)})
        finally:
            heard.on_train_end()

    def predict(self, model: keras.Model, dataset, part: str, *, profile, **settings) -> Predictions:
        """The scores of this worker's videos; none where it has no shard of the part."""
        if dataset.splits[part]:
            return predict(self._scorer, dataset, part, profile=profile, **settings)
        shape = (0, dataset.num_classes)
        return Predictions(
            ids=np.zeros(0, np.str_), labels=np.zeros(shape, bool), scores=np.zeros(shape, np.float16)
        )

    def gap(self, own: Predictions) -> float:
        """GAP over all workers' videos, the same number for each: of all their highest pairs as one ranking."""
        nothing = np.zeros((0, own.num_classes), np.float32)
        blocks = [(block.scores.astype(np.float32), block.labels) for block in own.blocks()]
        pairs = [top_pairs(*block) for block in [(nothing, nothing), *blocks]]
        mine = {name: np.concatenate([getattr(each, name) for each in pairs]) for name in PAIRS}
        parts = self.gather(mine)
        return gap_of_pairs(
            TopPairs(**{name: np.concatenate([part[name] for part in parts]) for name in PAIRS})
        )

    def join(self, own: Predictions, folder: Path, part: str) -> Predictions:
        """All workers' scores, for the chief; the others keep their own.

        They go through the run's folder, which all share: scores of all videos are too much to hand everyone.
        """
        if self.workers == 1:
            return own
        files = [folder / f".{part}-{index}.npz" for index in range(self.workers)]
        self.each(lambda: own.save(files[self.index]))
        joined = self.by_chief(lambda: _joined(files))
        if self.chief:
            for file in files:
                file.unlink(missing_ok=True)
        return joined or own

    def count(self, skipped: Skipped) -> None:
        """Make the records that any worker left out known to all, whose limit is one.

        Raises:
            DataError: They are too many together.
        """
        if not skipped.most:
            return
        for told in self.gather({"rows": np.array(json.dumps(skipped.to_rows()))}):
            skipped.add_rows(json.loads(str(told["rows"])))
        if len(skipped.records) > skipped.most:
            raise DataError(
                f"The workers have left out {len(skipped.records)} faulty records together, more than `on_fault` "
                f"({skipped.policy}) allows. `dmlkit data check` names them all."
            )

    def to_record(self) -> dict:
        """What a run's record says of it."""
        return {"name": self.name, "workers": self.workers, "replicas": self.replicas}


def _joined(files: list[Path]) -> Predictions:
    """The workers' scores one after another, which is the order of the part's shards."""
    return put_together(block for part in map(Predictions.load, files) for block in part.blocks())
