"""A study: experiments trained on one data set under one profile, tables of their results, analyses of their runs.

Nothing here loads TensorFlow or Keras at import: a report looks for runs.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from dmlkit.data import FRAME_CHOICES, as_dataset, match
from dmlkit.errors import UsageError, choose, shorten
from dmlkit.experiments import (
    ABLATIONS,
    EXPERIMENTS,
    GROUPS,
    MEMBER_RUNS,
    AnyExperiment,
    Ensemble,
    Experiment,
    beyond_for,
    find,
    fusion_variants,
    ladder_for,
    not_applicable_reason,
)
from dmlkit.files import file_lock
from dmlkit.metrics import SegmentPrecision, gap_interval, global_average_precision, map_at_k_interval
from dmlkit.paths import default_runs
from dmlkit.profiles import Profile, as_profile, profile_for
from dmlkit.runs import ROW_COLUMNS, SEED_COLUMNS, Run, experiment_row, read_record, to_frame
from dmlkit.runtime import check_keras, quiet_startup
from dmlkit.training.ensembles import ensemble
from dmlkit.training.segments import METHODS, precision_of
from dmlkit.training.state import (
    default_run,
    ensemble_fingerprint,
    existing_run,
    make_folder,
    snapshot_fingerprints,
    snapshots_of,
    training_fingerprint,
)


class Study:
    """Trains experiments on one data set under one profile, and tabulates their results.

    An experiment that was trained before is read from `runs`, not trained again; one with a recipe also from where
    `dmlkit train` leaves it. One that the data set cannot serve is named with the reason and is no error. One that
    another process is training is waited for.

    Args:
        data: A data set, or the path of one.
        profile: A `Profile`, or the name of one; the same for every experiment that has no recipe of its own.
        runs: The folder under which each run has its own; where None, that of the report of these data and this
            profile (`dmlkit.paths`).
        seed, deterministic, progress: As for `train`.
        seeds: Under how many seeds, `seed` and those after it, what is not beyond the ladder is trained. Runs are those
            of the first, with the others as their `siblings`; tables hold means and intervals over all.
        tensorboard: As for `train`; a relative path is relative to the folder that holds `runs`.
    """

    def __init__(
        self,
        data,
        *,
        profile: str | Profile = "demo",
        runs: str | os.PathLike | None = None,
        seed: int = 0,
        seeds: int = 1,
        deterministic: bool = False,
        progress: str = "auto",
        tensorboard: str | os.PathLike | None = None,
    ):
        if seeds < 1:
            raise UsageError(f"A study has at least one seed. Received: seeds={seeds}.")
        self.dataset = as_dataset(data)
        self.profile = as_profile(profile)
        self.runs = default_runs(self.dataset.path, self.profile.name) if runs is None else Path(runs)
        self.seed, self.seeds = seed, seeds
        self.columns = (*ROW_COLUMNS, *(SEED_COLUMNS if seeds > 1 else ()))  # of the tables
        self.experiments = ladder_for(self.dataset.level)
        tensorboard = None if tensorboard is None else self.runs.parent / tensorboard
        # Further arguments of `train`.
        self.settings = {"deterministic": deterministic, "progress": progress, "tensorboard": tensorboard}

    def __repr__(self) -> str:
        return f"Study({shorten(self.dataset.name, 80)}, profile {self.profile.name}, seed {self.seed}, in {self.runs})"

    def train(
        self, *experiments: str | AnyExperiment, on_epoch: Callable[[dict], None] | None = None
    ) -> dict[str, Run]:
        """Train experiments, or read them where they were trained before.

        Args:
            experiments: Names or values; an ensemble's members and an experiment's teachers are trained first.
            on_epoch: As for `train`.

        Returns:
            Name → run, without those that this data set cannot serve (a printed line gives the reason).
        """
        served = self.applicable({each.name: each for each in map(find, experiments)})
        runs = {name: self._train(each, on_epoch, self.seed) for name, each in served.items()}
        for name, each in served.items():
            further = self.further_seeds(each)
            runs[name].siblings = tuple(self._train(each, on_epoch, seed) for seed in further)
        return runs

    def train_chapter(self, chapter: str) -> dict[str, Run]:
        """Train the ladder's experiments of one chapter: `baselines`, `bi-lstm`, `bi-gru`, `fusion`, ..."""
        return self.train(*self.chapter(chapter))

    def chapter(self, chapter: str) -> list[AnyExperiment]:
        """The ladder's experiments of one chapter, in their order."""
        return [each for each in self.experiments.values() if each.chapter == chapter]

    def finished(self, *chapters: str) -> dict[str, Run]:
        """Name → run of the ladder's trained experiments, in the ladder's order; of some chapters, or of all."""
        return self.available(*_of_chapters(chapters, self.experiments))

    def available(self, *experiments: str | AnyExperiment) -> dict[str, Run]:
        """Name → run of those experiments that are trained; nothing is trained."""
        return {run.name: run for run in map(self.find, experiments) if run}

    def applicable(self, experiments: Mapping[str, AnyExperiment]) -> dict[str, AnyExperiment]:
        """Those of some experiments that this data set can serve; a printed line per reason names the others."""
        reasons = {name: self.not_applicable_reason(each) for name, each in experiments.items()}
        for reason in dict.fromkeys(filter(None, reasons.values())):
            titles = "; ".join(each.title for name, each in experiments.items() if reasons[name] == reason)
            print(f"Not applicable here, because {reason}: {titles}.")
        return {name: each for name, each in experiments.items() if not reasons[name]}

    def not_applicable_reason(self, experiment: AnyExperiment) -> str | None:
        """Why this data set cannot serve an experiment, or None."""
        modalities = tuple(self.dataset.features)
        return not_applicable_reason(experiment, level=self.dataset.level, modalities=modalities)

    def find(self, experiment: str | AnyExperiment) -> Run | None:
        """The finished run of an experiment under these conditions, or None."""
        experiment = find(experiment)
        run = None if self.not_applicable_reason(experiment) else self._find(experiment, self.seed)
        if run:
            siblings = (self._find(experiment, seed) for seed in self.further_seeds(experiment))
            run.siblings = tuple(filter(None, siblings))
        return run

    def further_seeds(self, experiment: AnyExperiment) -> range:
        """The seeds after the first under which an experiment is trained: none beyond the ladder."""
        return range(self.seed + 1, self.seed + (1 if experiment.chapter == "beyond" else self.seeds))

    def results(self, experiments: Mapping[str, AnyExperiment] | None = None) -> list[dict]:
        """A row per experiment (those of the ladder where None), as `results.json` holds it."""
        chosen = (self.experiments if experiments is None else experiments).values()
        return [experiment_row(each, self.find(each), self.not_applicable_reason(each)) for each in chosen]

    def ladder(self, *chapters: str) -> pd.DataFrame:
        """A row per experiment of the ladder, of some chapters or of all; its numbers are missing without a run."""
        return self._table(_of_chapters(chapters, self.experiments))

    def ablations(self, *chapters: str) -> pd.DataFrame:
        """The trained ablations of the ladder; of some chapters, or of all."""
        return self._table(_of_chapters(chapters, ABLATIONS), only_trained=True)

    def beyond(self, *groups: str) -> pd.DataFrame:
        """The trained experiments beyond the ladder, in the order of `GROUPS`; of some groups, or of all."""
        return self._table(beyond_for(self.dataset.level, *groups).values(), only_trained=True)

    def _table(self, experiments, *, only_trained: bool = False) -> pd.DataFrame:
        rows = self.results({each.name: each for each in experiments})
        rows = [row for row in rows if not only_trained or row["status"] == "trained"]
        return to_frame(rows, columns=self.columns).set_index("title")

    def _train(self, experiment: AnyExperiment, on_epoch, seed: int) -> Run:
        if run := self._find(experiment, seed, announce=True):
            return run
        with quiet_startup():
            from dmlkit.training.trainer import train  # loads TensorFlow

        needed = [self._train(each, on_epoch, own) for each, own in self._needed_by(experiment, seed)]
        folder, *_ = self._places(experiment, self._fingerprint(experiment, seed))
        make_folder(folder.parent)

        def announce(holder: str) -> None:
            print(f"{experiment.title}: being trained by {holder} elsewhere; waiting ...", flush=True)

        with file_lock(folder.with_name(f".{folder.name}.lock"), taken=announce, wait=True):
            if run := self._find(experiment, seed, announce=True):  # left by who held the lock before
                return run
            if isinstance(experiment, Ensemble):
                if experiment.member_runs == "checkpoints":
                    needed = [each for run in needed for each in snapshots_of(run)]
                names = {"name": experiment.name, "title": experiment.title}
                return ensemble(needed, out=folder, by=experiment.by, **names)
            print(f"{self._named(experiment, seed)}:")
            settings = self.settings | {"seed": seed, "on_epoch": on_epoch, "teachers": needed}
            profile = self._profile(experiment)
            return train(experiment, data=self.dataset, out=folder, profile=profile, **settings)

    def _find(self, experiment: AnyExperiment, seed: int, *, announce: bool = False) -> Run | None:
        fingerprint = self._fingerprint(experiment, seed)
        for folder in self._places(experiment, fingerprint):
            record = read_record(folder)
            if record and record["fingerprint"] == fingerprint:
                run = Run(folder, record)
                if announce:
                    print(f"{self._named(experiment, seed)}: already trained, GAP@20 {run.gap:.4f}")
                return run
        return None

    def _named(self, experiment: AnyExperiment, seed: int) -> str:
        return experiment.title if seed == self.seed else f"{experiment.title}, seed {seed}"

    def _needed_by(self, experiment: AnyExperiment, seed: int) -> list[tuple[AnyExperiment, int]]:
        """An ensemble's members or an experiment's teachers, and the seed of each."""
        if isinstance(experiment, Experiment):
            return [(find(name), seed) for name in experiment.teachers]
        return [(find(name), seed + further) for name in experiment.members for further in experiment.seeds]

    def _fingerprint(self, experiment: AnyExperiment, seed: int) -> str:
        needed = self._needed_by(experiment, seed)
        fingerprints = [self._fingerprint(*each) for each in needed]
        if isinstance(experiment, Experiment):
            profile, settings = self._profile(experiment), {"precision": "float32"} | self.settings
            settings = {key: settings[key] for key in ("precision", "deterministic")} | {"seed": seed}
            return training_fingerprint(
                experiment, self.dataset, profile=profile, teachers=fingerprints, **settings
            )
        choose(MEMBER_RUNS, experiment.member_runs, what="choice of member runs")
        if experiment.member_runs == "checkpoints":
            trainings, fingerprints = fingerprints, []
            for (member, _), training in zip(needed, trainings, strict=True):
                count = self._profile(member).checkpoints if isinstance(member, Experiment) else 0
                if not count:
                    raise UsageError(
                        "An ensemble of checkpoints needs a training that leaves some, and "
                        f"{member.name} leaves none: its profile has checkpoints=0."
                    )
                fingerprints += snapshot_fingerprints(training, count)
        return ensemble_fingerprint(experiment.name, fingerprints, by=experiment.by)

    def _profile(self, experiment: Experiment) -> Profile:
        return profile_for(experiment, experiment.recipe or self.profile)

    def _places(self, experiment: AnyExperiment, fingerprint: str) -> list[Path]:
        """The folder in which an experiment's run is left, and where else it may lie."""
        # The fingerprint in the name lets other profiles, seeds and data share the folder of runs.
        name, recipe = f"{experiment.name}-{fingerprint[:8]}", _first_training(experiment).recipe
        # `dmlkit train` writes a recipe's run to another folder.
        return [self.runs / name, *([default_runs(self.dataset.path, recipe) / name] if recipe else [])]


def _first_training(experiment: AnyExperiment) -> Experiment:
    """An ensemble's first training, whose profile its record names."""
    while isinstance(experiment, Ensemble):
        experiment = find(experiment.members[0])
    return experiment


def _of_chapters(chapters: Sequence[str], experiments: Mapping[str, AnyExperiment]) -> list[AnyExperiment]:
    """The experiments of some chapters; all where none is named."""
    for chapter in chapters:
        choose({each.chapter: each for each in EXPERIMENTS.values()}, chapter, what="chapter")
    return [each for each in experiments.values() if not chapters or each.chapter in chapters]


def train_ensemble(
    experiment: str | AnyExperiment,
    *,
    data,
    out: str | os.PathLike | None = None,
    profile: str | Profile | None = None,
    changes: Mapping[str, object] | None = None,
    seed: int = 0,
    **settings,
) -> Run:
    """Train an ensemble's missing members and combine them, or an experiment's missing teachers and the experiment.

    After an interruption the same call continues: finished members are read.

    Args:
        experiment: An `Ensemble`, an experiment with teachers, or the name of one.
        out: The run's folder, members or teachers below it in `members/`; where None, each has the folder in which
            `train` leaves it.
        profile: As for `train`, for every member; where None, each member's own recipe, or `demo`.
        changes: Fields of the members' profiles to be changed.
        data, seed, settings: As for `train`, for every member.

    Raises:
        UsageError: No ensemble, data that cannot serve a member, several machines, or folders that hold other runs.
    """
    check_keras(training=True)
    experiment = find(experiment)
    members = experiment.members if isinstance(experiment, Ensemble) else experiment.teachers
    if not members:
        raise UsageError(f"{experiment.name} is no ensemble and has no teachers. Train it by itself.")
    if settings.get("strategy") == "multi-worker":
        raise UsageError(
            f"{experiment.name} needs runs of {', '.join(members)} and is trained on one machine. On several, train "
            "each of those by itself, then combine ensembles with `dmlkit ensemble`."
        )
    study = _MemberStudy(data, runs=None if out is None else Path(out) / "members", seed=seed)
    study.top, study.out, study.asked, study.changes = experiment, out, profile, changes or {}
    study.settings |= settings
    if reason := study.not_applicable_reason(experiment):
        raise UsageError(f"{experiment.name} cannot be trained on {study.dataset.name}: {reason}.")
    if out is not None:  # refuse a folder of another run before hours of training, not after
        existing_run(Path(out), fingerprint=study._fingerprint(experiment, seed), name=experiment.name)
    return study.train(experiment)[experiment.name]


class _MemberStudy(Study):
    """The study of `train_ensemble`: its profile replaces recipes too, and each run has one folder."""

    def _profile(self, experiment: Experiment) -> Profile:
        # An experiment's trick overrides the changes.
        return profile_for(experiment, replace(profile_for(experiment, self.asked), **self.changes))

    def _places(self, experiment: AnyExperiment, fingerprint: str) -> list[Path]:
        if self.out is None:
            profile = self._profile(_first_training(experiment))
            return [default_run(self.dataset, experiment, profile, fingerprint)]
        return [Path(self.out)] if experiment == self.top else super()._places(experiment, fingerprint)[:1]


def best_ensemble_members(study: Study, *, size: int = 5) -> Ensemble:
    """An ensemble, not trained yet, of the at most `size` trained experiments with the highest GAP on the tuning split.

    Its weights are optimized. Recipes are left out: their conditions, and so perhaps their videos, are others.
    """
    beyond = beyond_for(study.dataset.level, *(group for group in GROUPS if group != "recipes"))
    candidates = (study.experiments | beyond).values()
    runs = study.available(*(each for each in candidates if isinstance(each, Experiment)))
    ranked = sorted(runs.values(), key=lambda run: -run.tuning_gap)[:size]
    settings = {"title": f"Ensemble of the {len(ranked)} best", "by": "optimized", "chapter": "beyond"}
    return Ensemble(name="ensemble-of-best", members=tuple(run.name for run in ranked), **settings)


def all_results(study: Study) -> pd.DataFrame:
    """The ladder and what is beyond it, as far as these data can serve it, and whatever else is trained.

    The columns are those of `study.ladder()` and `part`: `ladder`, `ablation`, `ensemble`, or the group's singular.
    """
    level = study.dataset.level
    ladder = {name: each for name, each in ladder_for(level).items() if each.chapter != "beyond"}
    trained = study.available(*(each for each in ladder.values() if isinstance(each, Experiment)))
    combined = [
        Ensemble(name="ensemble-of-all", title="Ensemble of the ladder", members=tuple(trained)),
        best_ensemble_members(study),
    ]
    parts = {
        "ladder": ladder,
        "ablation": ABLATIONS | fusion_variants(study.experiments, study.profile),
        **{group.removesuffix("s"): beyond_for(level, group) for group in GROUPS},
        "ensemble": {each.name: each for each in combined if len(each.members) > 1},
    }
    optional = ("ablation", "recipe", "ensemble")  # shown only where they are trained
    rows = {
        row["name"]: row | {"part": part}
        for part, experiments in parts.items()
        for row in study.results(experiments)
        if row["status"] == "trained" or (row["status"] == "not trained" and part not in optional)
    }
    return to_frame(list(rows.values()), columns=[*study.columns, "part"]).set_index("title")


# --- Segments ---


def train_on_segments(study: Study, data, *experiments: str | Experiment) -> dict[str, Run]:
    """Train experiments on rated segments, each from scratch and from the study's run on whole videos.

    Args:
        study: On whole videos; its profile and seed are those of the segments, too, and its folder takes the runs.
        data: The segments (`open_segments`).
        experiments: Names or values, of experiments that the study trains first where it has not.

    Returns:
        Title → run, "…, on segments" and "…, fine-tuned on segments".
    """
    with quiet_startup():
        from dmlkit.training.trainer import train

    found = {}
    for run in study.train(*experiments).values():
        for how, start in (("on segments", None), ("fine-tuned on segments", run)):
            place = f"{run.name}-{how.replace(' ', '-')}"
            conditions = {"profile": study._profile(run.experiment), "seed": study.seed}
            conditions |= {"deterministic": study.settings["deterministic"]}
            own = {"precision": "float32", "start_from": start and start.record["fingerprint"]}
            digest = training_fingerprint(run.experiment, data, **conditions, **own)
            settings = {"out": study.runs / f"{place}-{digest[:8]}", "progress": study.settings["progress"]}
            print(f"{run.title}, {how}:")
            found[f"{run.title}, {how}"] = train(
                run.experiment, data=data, start_from=start, **conditions, **settings
            )
    return found


# --- Analyses of trained runs ---


def fusion_study(runs: Mapping[str, Run], batch: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """The scores of fusions, and how well their projections of the videos of a batch are aligned; a row per run.

    `loss` is that of the last epoch. Of projections alone: `distance` (mean ‖z_1 - z_2‖² over valid frames), `length`
    (mean ‖z_1‖² + ‖z_2‖²) and `relative_distance`: 0 where the projections are equal, 1 where they are orthogonal.
    """
    rows = []
    for run in runs.values():
        experiment, (low, high) = run.experiment, run.metrics["gap_interval"]
        fusion, projects = experiment.fusion, experiment.fusion == "projection"
        distance, length = projection_distance(run.model, batch) if projects else (np.nan, np.nan)
        row = {"title": run.title, "fusion": fusion}
        row["initializer"] = "none" if fusion == "concat" else experiment.mapping_initializer
        row["alignment_weight"] = experiment.alignment_weight if projects else np.nan
        row |= {"gap": run.gap, "gap_low": low, "gap_high": high}
        row["loss"] = float(run.history["loss"].iloc[-1])
        row |= {"distance": distance, "length": length}
        rows.append(row | {"relative_distance": distance / length if length else np.nan})
    return pd.DataFrame(rows)


def projection_distance(model, batch: Mapping[str, np.ndarray]) -> tuple[float, float]:
    """The means over valid frames (videos, at video level) of Σ_{i<j} ‖z_i - z_j‖² and of Σ_{i<j} (‖z_i‖² + ‖z_j‖²).

    Paper: §Fusion, f(x_1) ~ g(x_2).
    """
    import keras

    from dmlkit.models import check_codings

    check_codings(model, batch)
    layers = [layer for layer in model.layers if layer.name.startswith("fusion_projection_")]
    inputs = {tensor.name: batch[tensor.name] for tensor in model.inputs}
    outputs = keras.Model(model.input, [layer.output for layer in layers])(inputs, training=False)
    projections = [keras.ops.convert_to_numpy(output).astype(np.float64) for output in outputs]
    if "num_frames" in batch:
        valid = np.arange(projections[0].shape[1]) < np.asarray(batch["num_frames"])[:, None]
        projections = [projection[valid] for projection in projections]
    pairs = list(itertools.combinations(projections, 2))
    distance = sum(np.square(a - b).sum(axis=-1).mean() for a, b in pairs)
    norm = sum((np.square(a).sum(axis=-1) + np.square(b).sum(axis=-1)).mean() for a, b in pairs)
    return float(distance), float(norm)


def mapping_resampling(runs: Mapping[str, Run], dataset, *, seed: int = 0) -> pd.DataFrame:
    """GAP@20 of mapped fusions `as trained`, with a `resampled mapping`, and with `permuted videos`; a row per run.

    Resampled from N(0, 0.01) is what a mapping is where it is left out of the checkpoint, or sampled at every step
    instead of once; the training loss does not show it. With permuted videos each has the scores of another one.

    Paper: §Experiments (its low results of the mapped fusions, 0.011 and 0.017); §Fusion, the initializer.
    """
    from dmlkit.training.prediction import score_split

    columns = ["as trained", "resampled mapping", "permuted videos"]
    rows = {}
    for run in runs.values():
        if run.experiment.fusion == "concat":
            continue
        model = Run(run.path, run.record).model  # a fresh one: the run keeps its own
        rng = np.random.default_rng(seed)
        for layer in model.layers:
            if layer.name.startswith("fusion"):  # matrices map; vectors are biases
                weights = layer.get_weights()
                layer.set_weights([rng.normal(0.0, 0.01, w.shape) if w.ndim == 2 else w for w in weights])
        profile, stored = Profile(**run.record["profile"]), run.predictions
        matched = match(dataset, run.record["data"], model=run.path)
        resampled = score_split(model, dataset, "validate", profile=profile, matched=matched)
        order = np.random.default_rng(seed).permutation(len(stored.ids))
        rows[run.title] = (
            run.gap,
            global_average_precision(resampled.scores, resampled.labels),
            global_average_precision(stored.scores[order], stored.labels),
        )
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("title")


def localization_study(
    runs: Mapping[str, Run], data, *, split: str = "validate", max_videos: int | None = None
) -> pd.DataFrame:
    """How well runs find the segments that show a class, by every method that they have (`segments.METHODS`).

    Args:
        runs: Title → run; of a run on whole videos each method is measured, of one on segments only "clip".
        data: Rated segments (`open_segments`).
        split, max_videos: A split with ratings, and the most videos of it, as for `evaluate`.

    Returns:
        A row a run and method (index `run`, `method`): `on_segments`, whether it was trained on them; `map_at_k` with
        its interval over videos (`map_at_k_low`, `map_at_k_high`);
        `against`, the row that localizes least and reads the same: the run's own video scores, or, of a run on
        segments, the first other run's clips; the paired `difference` from it with `difference_low` and
        `difference_high` (NaN where there is none); `segments`, `rated` pairs and `classes`.
    """
    from dmlkit.training.prediction import members_of, score_blocks

    found: dict[tuple[str, str], SegmentPrecision] = {}
    for title, run in runs.items():
        for method in ("clip",) if run.record["data"]["unit"] == "segment" else METHODS:
            try:
                blocks = score_blocks(members_of(run), data, split, method=method, max_videos=max_videos)
                found[title, method] = precision_of(blocks)
            except UsageError:
                if method != "contribution":  # which not every run has
                    raise
    others = [title for title, method in found if method == "video"]
    rows = {}
    for (title, method), precision in found.items():
        against = (title, "video") if title in others else (others[0], "clip") if others else (title, method)
        low, high = map_at_k_interval(precision.pairs())
        row = precision.result()
        row |= {"on_segments": title not in others, "against": against}
        row |= {"map_at_k_low": low, "map_at_k_high": high, "difference": np.nan}
        if against != (title, method):
            row["difference"] = row["map_at_k"] - found[against].result()["map_at_k"]
            interval = map_at_k_interval(precision.pairs(), found[against].pairs())
            row |= dict(zip(("difference_low", "difference_high"), interval, strict=True))
        rows[title, method] = row
    intervals = [name + end for name in ("map_at_k", "difference") for end in ("", "_low", "_high")]
    columns = ["on_segments", "against", *intervals, "segments", "rated", "classes"]
    index = pd.MultiIndex.from_tuples(rows, names=["run", "method"])
    return pd.DataFrame([*rows.values()], index=index, columns=columns)


def frame_study(
    run: Run | None, dataset, *, counts: Sequence[int | None] = (10, 20, 40, None), split: str = "tuning"
) -> pd.DataFrame:
    """Score a split with fewer frames, chosen in each way there is; nothing is trained again.

    A row for each choice and count (`frames`; None is "all"); empty without a run on frames. The number of frames is a
    setting, so the tuning split is used.

    Paper: §Future work (training on randomly sampled frames). Differs from the paper: the frames are sampled when a
    model is used; `Profile.frame_share` samples them in training.
    """
    columns = ["frames", "choice", "gap", "gap_low", "gap_high", "videos"]
    if run is None or dataset.level != "frame":
        return pd.DataFrame(columns=columns)
    from dmlkit.training.prediction import score_split

    profile = Profile(**run.record["profile"])
    matched = match(dataset, run.record["data"], model=run.path)

    def measure(count: int | None, choice: str) -> tuple:
        settings = replace(profile, max_frames=count, frame_choice=choice)
        predictions = score_split(run.model, dataset, split, profile=settings, matched=matched)
        scores, labels = predictions.scores.astype(np.float32), predictions.labels
        interval = gap_interval(scores, labels, resamples=300)
        return global_average_precision(scores, labels), *interval, len(scores)

    # All frames: the choice makes no difference.
    every = measure(None, "first") if None in counts else ()
    rows = [
        (count or "all", choice, *(measure(count, choice) if count else every))
        for choice in FRAME_CHOICES
        for count in counts
    ]
    return pd.DataFrame(rows, columns=columns).astype({"frames": str})
