"""Once more, when the tuning part has had its say: on the training and tuning parts together.

    training part            → the epoch that is best on the tuning part, and the scores there, which weigh ensembles
    training + tuning part   → as many epochs at the same rates → the model that is kept, and scores the validation part

The tuning part decides as it does everywhere, before a model has seen it; nothing is chosen afterwards. On thousands of
videos a tenth more of them is worth more than most ideas are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import keras

from dmlkit.data import with_tuning
from dmlkit.profiles import REFIT, Profile
from dmlkit.training import checkpoint
from dmlkit.training.averaging import averaged
from dmlkit.training.climbing import Climb
from dmlkit.training.folder import REFITTING, make_folder
from dmlkit.training.workers.refusing import OneDeviceError


def leave_to_refitting(profile: Profile, team) -> None:
    """See that a training can be done once more, where its profile asks for it.

    Raises:
        OneDeviceError: There are several devices.
    """
    if profile.after_tuning == REFIT and team.workers * team.replicas > 1:
        raise OneDeviceError(
            "several devices do not train once more on the tuning part (after_tuning)",
            instead="Use a profile that keeps the best epoch",
        )


@dataclass(frozen=True, kw_only=True)
class Refit(Climb):
    """A training of so many epochs, which nothing judges: its last weights are those to keep."""

    def _ended(self, done: checkpoint.Progress) -> bool:
        return done.epoch >= self.epochs

    def _judge(self, done: checkpoint.Progress) -> dict:
        with averaged(self.learning):
            done.best_epoch, done.best_weights = done.epoch, self.model.get_weights()
        return {}


def refit(
    first: Climb,
    found: checkpoint.Progress,
    *,
    prepare: Callable[[int], tuple[keras.Model, keras.Model]],
    videos: int,
) -> checkpoint.Progress:
    """Train once more, on the tuning part too.

    Args:
        first: The training that the tuning part judged, which has ended.
        found: How it went; as many epochs are trained as its best one took.
        prepare: Makes the model and what is trained anew, for a number of videos.
        videos: How many both parts have.

    Returns:
        How it went, and the weights to keep.

    Raises:
        DataError: The loss is no number any more, or a record cannot be read.
    """
    first.show.say(
        f"once more, on the tuning part too: {videos:,} videos, "
        f"{found.best_epoch} {'epoch' if found.best_epoch == 1 else 'epochs'}"
    )
    model, learning = prepare(videos)
    folder = first.folder / REFITTING
    make_folder(folder)
    done = checkpoint.resume(
        folder, learning, mark=found.fingerprint, workers=first.team.workers, skipped=first.skipped
    )
    cap = None if first.profile.max_train_videos is None else videos
    again = Refit(
        **vars(first)
        | {
            "model": model,
            "learning": learning,
            "dataset": with_tuning(first.dataset),
            "profile": replace(first.profile, max_train_videos=cap),
            "videos": videos,
            "batches": first.team.batches(videos, first.profile.batch_size),
            "epochs": found.best_epoch,
            "folder": folder,
        }
    )
    again.team.start(learning)
    again.go_on(done)
    return done
