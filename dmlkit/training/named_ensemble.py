"""A named ensemble, or a rung with teachers, by one command: what is missing is trained first.

Paper: §Ensemble.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from dmlkit.errors import UsageError
from dmlkit.experiments import AnyExperiment, Ensemble, Experiment, find
from dmlkit.profiles import Profile
from dmlkit.runs import Run
from dmlkit.training.provenance import default_run, profile_for
from dmlkit.training.state import existing_run
from dmlkit.training.study import Study

MEMBERS = "members"


def train_ensemble(
    rung: str | Ensemble | Experiment,
    *,
    data,
    out: str | os.PathLike | None = None,
    profile: str | Profile | None = None,
    changes: Mapping[str, object] | None = None,
    seed: int = 0,
    deterministic: bool = False,
    progress: str = "auto",
    tensorboard: str | os.PathLike | None = None,
    **settings,
) -> Run:
    """Train an ensemble's members where they are not trained yet, and combine them; or teachers, and who follows them.

    What was killed goes on where it stopped: a member that is finished is read.

    Args:
        rung: An `Ensemble`, or an experiment with teachers, which are trained first as members are; or its name.
        data: A data set, or the path of one.
        out: The run's folder, members or teachers below it in `members/`; where None, each has the folder in which
            `train` leaves it, so that a member that was trained by itself is found there.
        profile: As for `train`, for every member; where None, each member's own recipe, or `demo`.
        changes: Fields of the members' profiles that are to be others.
        seed, deterministic, progress, tensorboard: As for `train`.
        settings: `precision`, `xla`, `strategy` and `on_fault` of `train`, for every member.

    Raises:
        UsageError: Unknown names, no ensemble, data that cannot serve a member, a strategy of several machines, or
            folders that hold other runs.
    """
    rung = find(rung) if isinstance(rung, str) else rung
    if isinstance(rung, Experiment) and rung.teachers:
        # Nor would several devices follow them (`training.distributed`).
        several = f"{rung.name} follows {', '.join(rung.teachers)}, which one device alone can. Use --strategy auto."
    elif isinstance(rung, Ensemble):
        several = (
            f"{rung.name} is an ensemble, and its members are trained on one machine. On several, train each of "
            f"{', '.join(rung.members)} by itself, then combine their runs with `dmlkit ensemble`."
        )
    else:
        raise UsageError(f"{rung.name} is no ensemble and has no teachers. Train it by itself.")
    if settings.get("strategy") == "multi-worker":
        raise UsageError(several)
    study = _Members(
        data, top=rung, out=None if out is None else Path(out), asked=profile, changes=changes or {},
        seed=seed, deterministic=deterministic, progress=progress, tensorboard=tensorboard, settings=settings,
    )  # fmt: skip
    if reason := study.not_applicable_reason(rung):
        raise UsageError(f"{rung.name} cannot be trained on {study.dataset.name}: {reason}.")
    if out is not None:
        # Before hours of training, not after.
        existing_run(Path(out), fingerprint=study.mark(rung), name=rung.name)
    return study.train(rung)[rung.name]


class _Members(Study):
    """A study whose runs lie where a training leaves them that nobody gave a folder, or all below one folder."""

    def __init__(
        self,
        data,
        *,
        top: Ensemble | Experiment,
        out: Path | None,
        asked: str | Profile | None,
        changes: Mapping[str, object],
        settings: Mapping[str, object],
        tensorboard: str | os.PathLike | None,
        **conditions,
    ):
        super().__init__(data, runs=None if out is None else out / MEMBERS, **conditions)
        self.tensorboard = tensorboard
        self.top, self.out, self.asked, self.changes = top, out, asked, dict(changes)
        self.settings = dict(settings)
        self.profile = self._profile(self._first(top))

    def mark(self, rung: AnyExperiment) -> str:
        """The fingerprint of a rung under these conditions."""
        return self._mark(rung, self.seed)

    def _profile(self, rung: Experiment) -> Profile:
        # A rung's own trick has the last word.
        return profile_for(rung, replace(profile_for(rung, self.asked), **self.changes))

    def _folder(self, rung: AnyExperiment, mark: str) -> Path:
        if self.out is None:
            return default_run(self.dataset, rung, self._profile(self._first(rung)), mark)
        return self.out if rung == self.top else super()._folder(rung, mark)

    def _places(self, rung: AnyExperiment, mark: str) -> list[Path]:
        return [self._folder(rung, mark)]

    def _first(self, rung: AnyExperiment) -> Experiment:
        """The training whose profile an ensemble's record names."""
        return self._first(find(rung.members[0])) if isinstance(rung, Ensemble) else rung
