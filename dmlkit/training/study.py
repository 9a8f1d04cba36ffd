"""The study up the ladder: rungs trained on one data set under one profile, and the ladder so far."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from dmlkit.data import as_dataset
from dmlkit.errors import UsageError, choose
from dmlkit.experiments import (
    ABLATIONS,
    EXPERIMENTS,
    MEMBER_RUNS,
    AnyExperiment,
    Ensemble,
    Experiment,
    Missing,
    beyond_for,
    find,
    ladder_for,
    not_applicable_reason,
)
from dmlkit.paths import default_runs
from dmlkit.profiles import Profile
from dmlkit.runs import Run, read_record
from dmlkit.training.ensembling import ensemble, ensemble_fingerprint
from dmlkit.training.provenance import as_profile, profile_for, snapshot_fingerprints, training_fingerprint
from dmlkit.training.rows import as_table, row
from dmlkit.training.state import snapshots_of
from dmlkit.training.trainer import train
from dmlkit.training.turns import turn

CHAPTERS = {rung.chapter: rung for rung in EXPERIMENTS.values()}


class Study:
    """Trains rungs on one data set under one profile, and shows the ladder so far.

    A rung that was trained before, in this notebook or another, is read from `runs`, not trained again; one that has
    a recipe also from where `dmlkit train` leaves it.
    A rung that the data set cannot serve is named with the reason, and fails nothing. A rung that another
    process is training is waited for.

    Args:
        data: A data set, or the path of one.
        profile: A `Profile`, or the name of one; the same for every rung that has no recipe of its own.
        runs: The folder under which each run has its own; where None, that of the report of these data and
            profile (`dmlkit.paths`).
        seed: Of every training.
        deterministic: As for `train`.
        progress: As for `train`.
        tensorboard: As for `train`; a relative one lies beside the folder of runs, whatever the working folder.
    """

    def __init__(
        self,
        data,
        *,
        profile: str | Profile = "demo",
        runs: str | os.PathLike | None = None,
        seed: int = 0,
        deterministic: bool = False,
        progress: str = "auto",
        tensorboard: str | os.PathLike | None = None,
    ):
        self.dataset = as_dataset(data)
        self.profile = as_profile(profile)
        self.runs = default_runs(self.dataset.path, self.profile.name) if runs is None else Path(runs)
        self.seed = seed
        self.deterministic = deterministic
        self.progress = progress
        self.tensorboard = None if tensorboard is None else self.runs.parent / tensorboard
        self.rungs = ladder_for(self.dataset.level)
        self.settings: dict[str, object] = {}  # further ones of `train`

    def train(
        self, *rungs: str | AnyExperiment, on_epoch: Callable[[dict], None] | None = None
    ) -> dict[str, Run]:
        """Train rungs, or read them where they were trained before.

        Args:
            rungs: Names, or `Experiment` and `Ensemble` values. An ensemble's members and an experiment's
                teachers are trained first.
            on_epoch: As for `train`.

        Returns:
            Name → run, without the rungs that this data set cannot serve (one line says why).
        """
        runs = {}
        for rung in map(_rung, rungs):
            if reason := self.not_applicable_reason(rung):
                print(f"{rung.title}: not applicable here, because {reason}.")
                continue
            runs[rung.name] = self._train(rung, on_epoch, self.seed)
        return runs

    def train_chapter(self, chapter: str) -> dict[str, Run]:
        """Train the ladder's rungs of one chapter: `baselines`, `bi-lstm`, `bi-gru`, `fusion`, ..."""
        return self.train(*self.chapter(chapter))

    def chapter(self, chapter: str) -> list[AnyExperiment]:
        """The ladder's rungs of one chapter, in their order."""
        return [rung for rung in self.rungs.values() if rung.chapter == chapter]

    def finished(self, *chapters: str) -> dict[str, Run]:
        """Name → run of the ladder's rungs that are trained, in the ladder's order; of some chapters, or of all."""
        return self.there(*_of(chapters, self.rungs))

    def there(self, *rungs: str | AnyExperiment) -> dict[str, Run]:
        """Name → run of those rungs that are trained; nothing is trained for it."""
        runs = {rung.name: self.find(rung) for rung in map(_rung, rungs)}
        return {name: run for name, run in runs.items() if run}

    def served(self, rungs: Mapping[str, AnyExperiment]) -> dict[str, AnyExperiment]:
        """Those of some rungs that this data set can serve; a line a reason names the others."""
        served, others = {}, {}
        for name, rung in rungs.items():
            if reason := self.not_applicable_reason(rung):
                others.setdefault(reason, []).append(rung.title)
            else:
                served[name] = rung
        for reason, titles in others.items():
            print(f"Not applicable here, because {reason}: {'; '.join(titles)}.")
        return served

    def not_applicable_reason(self, rung: AnyExperiment) -> str | None:
        """Why this data set cannot serve a rung, or None."""
        return not_applicable_reason(rung, level=self.dataset.level, modalities=tuple(self.dataset.features))

    def find(self, rung: str | AnyExperiment) -> Run | None:
        """The finished run of a rung under these conditions, or None."""
        rung = _rung(rung)
        return (
            None
            if isinstance(rung, Missing) or self.not_applicable_reason(rung)
            else self._find(rung, self.seed)
        )

    def results(self, rungs: dict[str, AnyExperiment] | None = None) -> list[dict]:
        """A row a rung in the ladder's order, as `results.json` holds it.

        Args:
            rungs: The rungs; the ladder's where None.
        """
        rungs = self.rungs if rungs is None else rungs
        return [row(rung, self.find(rung), self.not_applicable_reason(rung)) for rung in rungs.values()]

    def ladder(self, *chapters: str) -> pd.DataFrame:
        """The ladder so far, a row a rung; numbers are missing where there is no run.

        Args:
            chapters: The chapters whose rungs are looked at, and no others; all of them where none is named.
        """
        return as_table(self.results({rung.name: rung for rung in _of(chapters, self.rungs)}))

    def beside(self, *chapters: str) -> pd.DataFrame:
        """What was trained beside the ladder: bare forms, exact cells, other readings; of some chapters, or of all."""
        rows = self.results({rung.name: rung for rung in _of(chapters, ABLATIONS)})
        return as_table([each for each in rows if each["status"] == "trained"])

    def beyond(self, *groups: str) -> pd.DataFrame:
        """What was trained beyond the ladder, in the order of `experiments.GROUPS`; of some groups, or of all."""
        rows = self.results(beyond_for(self.dataset.level, *groups))
        return as_table([each for each in rows if each["status"] == "trained"])

    def _train(self, rung: Experiment | Ensemble, on_epoch: Callable[[dict], None] | None, seed: int) -> Run:
        if run := self._trained(rung, seed):
            return run
        combined = isinstance(rung, Ensemble)
        trained = [self._train(each, on_epoch, own) for each, own in self._below(rung, seed)]
        folder = self._folder(rung, self._mark(rung, seed))
        with turn(folder, title=rung.title):
            if run := self._trained(rung, seed):  # by whoever held it before
                return run
            if combined:
                best = rung.member_runs == "best"
                members = [each for run in trained for each in ([run] if best else snapshots_of(run))]
                return ensemble(members, out=folder, name=rung.name, title=rung.title, by=rung.by)
            print(f"{rung.title}:" if seed == self.seed else f"{rung.title}, seed {seed}:")
            return train(
                rung,
                data=self.dataset,
                out=folder,
                profile=self._profile(rung),
                seed=seed,
                deterministic=self.deterministic,
                progress=self.progress,
                on_epoch=on_epoch,
                tensorboard=self.tensorboard,
                teachers=trained,
                **self.settings,
            )

    def _trained(self, rung: Experiment | Ensemble, seed: int) -> Run | None:
        if run := self._find(rung, seed):
            print(f"{rung.title}: already trained, GAP@20 {run.gap:.4f}")
        return run

    def _find(self, rung: Experiment | Ensemble, seed: int) -> Run | None:
        mark = self._mark(rung, seed)
        for folder in self._places(rung, mark):
            record = read_record(folder)
            if record and record["fingerprint"] == mark:
                return Run(folder, record)
        return None

    def _below(self, rung: Experiment | Ensemble, seed: int) -> list[tuple[AnyExperiment, int]]:
        """An ensemble's members or an experiment's teachers, and the seed of each."""
        if isinstance(rung, Experiment):
            return [(find(name), seed) for name in rung.teachers]
        return [(find(name), seed + further) for name in rung.members for further in rung.seeds]

    def _mark(self, rung: Experiment | Ensemble, seed: int) -> str:
        if isinstance(rung, Ensemble):
            members = [
                mark
                for each, own in self._below(rung, seed)
                for mark in self._marks_taken(each, self._mark(each, own), rung.member_runs)
            ]
            return ensemble_fingerprint(rung.name, members, by=rung.by)
        return training_fingerprint(
            rung,
            self.dataset,
            profile=self._profile(rung),
            seed=seed,
            precision=self.settings.get("precision", "float32"),
            deterministic=self.deterministic,
            teachers=[self._mark(each, own) for each, own in self._below(rung, seed)],
        )

    def _marks_taken(self, rung: Experiment | Ensemble, mark: str, member_runs: str) -> list[str]:
        choose(MEMBER_RUNS, member_runs, what="choice of what an ensemble takes")
        if member_runs == "best":
            return [mark]
        count = self._profile(rung).checkpoints if isinstance(rung, Experiment) else 0
        if not count:
            raise UsageError(
                f"An ensemble of checkpoints needs a training that leaves some, and {rung.name} leaves none: "
                "its profile says checkpoints=0."
            )
        return snapshot_fingerprints(mark, count)

    def _profile(self, rung: Experiment) -> Profile:
        # A recipe is a model and its own conditions together.
        return profile_for(rung, rung.recipe or self.profile)

    def _folder(self, rung: AnyExperiment, mark: str) -> Path:
        # The fingerprint in the name lets other profiles, seeds and data share the folder of runs.
        return self.runs / f"{rung.name}-{mark[:8]}"

    def _places(self, rung: Experiment | Ensemble, mark: str) -> list[Path]:
        """Where a rung's run may lie: where this study would leave it; a recipe's also where `dmlkit train` does."""
        folder, recipe = self._folder(rung, mark), _recipe(rung)
        return [folder, *([default_runs(self.dataset.path, recipe) / folder.name] if recipe else [])]


def _rung(named: str | AnyExperiment) -> AnyExperiment:
    return find(named) if isinstance(named, str) else named


def _recipe(rung: Experiment | Ensemble) -> str | None:
    """The conditions of its own that a rung is trained under, or an ensemble's first member."""
    if isinstance(rung, Ensemble):
        return _recipe(find(rung.members[0])) if rung.members else None
    return rung.recipe


def _of(chapters: Sequence[str], rungs: Mapping[str, AnyExperiment]) -> list[AnyExperiment]:
    """The rungs of some chapters; of all where none is named."""
    for chapter in chapters:
        choose(CHAPTERS, chapter, what="chapter")
    return [rung for rung in rungs.values() if not chapters or rung.chapter in chapters]
