"""Two experiments compared on the same videos, over several seeds where there are."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from dmlkit.errors import DataError, UsageError, counted, html_card, nearest, shorten
from dmlkit.metrics import GapComparison, Interval, Spread, TopPairs, compare_gaps
from dmlkit.predictions import Predictions
from dmlkit.runs import RECORD, Run, as_run, find_runs, shared_class_names, summarize_errors

Named = Run | str | os.PathLike
Runs = Named | Sequence[Named]

FEWEST = 5  # videos of a class: of fewer, average precision is mostly chance
# Descriptions of an experiment or a profile, which do not change what is trained.
DESCRIPTIONS = ("title", "chapter", "paper_gap", "purpose")


@dataclass(frozen=True)
class Side:
    """One side: runs of one experiment under one profile, one per seed, and their GAP@20 on the validation split."""

    runs: tuple[Run, ...]
    gaps: Spread

    @property
    def seeds(self) -> tuple[int, ...]:
        """Of the runs."""
        return tuple(run.record["seed"] for run in self.runs)

    def to_record(self) -> dict:
        """Plain values."""
        first, runs = self.runs[0], zip(self.runs, self.seeds, self.gaps.values, strict=True)
        return {
            "name": first.name,
            "title": first.title,
            "profile": _profile(first),
            "runs": [{"seed": seed, "gap": gap, "path": str(run.path)} for run, seed, gap in runs],
            **{f"gap_{key}": getattr(self.gaps, key) for key in ("mean", "deviation", "low", "high")},
        }

    def __str__(self) -> str:
        first, gaps = self.runs[0], self.gaps
        seeds = f"seed {self.seeds[0]}"
        if len(self.seeds) > 1:
            values = ", ".join(map("{}: {:.4f}".format, self.seeds, gaps.values))
            seeds = f"mean of {len(self.seeds)} seeds ({values}; standard deviation {gaps.deviation:.4f})"
        experiment = f"{shorten(first.title, 60)} ({shorten(first.name)}), profile {shorten(_profile(first))}"
        return f"{experiment}: GAP@20 {gaps.mean:.4f}, {seeds}"


@dataclass(frozen=True, repr=False, eq=False)
class Comparison:
    """Two sides on the same videos.

    Args:
        a, b: The sides.
        data: `name`, `generated` and `fingerprint` of the data both were scored on.
        videos: Number of validation videos.
        difference: Mean GAP@20 of A minus that of B.
        interval: Of the difference: over videos and seeds where both sides have several seeds, else over videos, for
            these seeds (`metrics.compare_gaps`); every run has the same resamples.
        resamples: Of the interval, which holds 95 % of them.
        classes: A row a class of at least `FEWEST` videos: its `number`, `name` and `videos`, average precision under
            `a` and `b`, the mean over seeds, and the `difference`, by which it is sorted, A's largest gain first.
        notes: Caveats: other conditions, runs left out, scores cut to the highest.
    """

    a: Side
    b: Side
    data: dict
    videos: int
    difference: float
    interval: Interval
    resamples: int
    classes: pd.DataFrame
    notes: tuple[str, ...]

    @property
    def gaps(self) -> GapComparison:
        """The numbers alone, with what the interval is over and the result of the test."""
        return GapComparison(self.a.gaps, self.b.gaps, self.difference, self.interval, self.videos)

    def class_table(self, most: int = 5) -> pd.DataFrame:
        """Average precision of the classes that A gains most and loses most, at most so many each way."""
        sign = np.sign(self.classes["difference"])
        table = pd.concat([self.classes[sign > 0].head(most), self.classes[sign < 0].tail(most)])
        table["name"] = [shorten(name, 44) for name in table["name"]]
        columns = {"name": "class", "a": "A", "b": "B", "difference": "A − B", "videos": "videos"}
        return table[[*columns]].rename(columns=columns)

    def rows(self) -> dict[str, str]:
        """Both sides, the data, and the difference with its interval and the result of the test."""
        data = f"{_data(**self.data)}{', generated' if self.data['generated'] else ''}"
        data += f"; {self.videos:,} videos, {self.resamples:,} paired resamples"
        interval = "95 % CI {} {:+.4f} to {:+.4f}".format(self.gaps.over, *self.interval)
        difference = f"{self.difference:+.4f}, {interval}, {self.gaps.verdict}"
        return {"A": str(self.a), "B": str(self.b), "data": data, "A − B": difference}

    def text(self, *, classes: int = 5) -> str:
        """The comparison for a terminal, with at most so many classes each way."""
        lines = [f"{name:6} {value}" for name, value in self.rows().items()]
        if classes > 0:
            higher, lower = (self.classes["difference"] > 0).sum(), (self.classes["difference"] < 0).sum()
            number = f"{len(self.classes):,} classes of at least {FEWEST} videos"
            lines += ["", f"Average precision of {number}: A higher in {higher:,}, lower in {lower:,}"]
            if len(table := self.class_table(classes)):
                signed = {"A − B": "{:+.4f}".format}
                lines.append(table.to_string(index=False, float_format="{:.4f}".format, formatters=signed))
        return "\n".join([*lines, *(f"Note: {note}" for note in self.notes)])

    def to_record(self) -> dict:
        """Plain values, for JSON."""
        sides = {"a": self.a.to_record(), "b": self.b.to_record()}
        tested = ("over", "excludes_zero", "significant", "verdict")
        plain = vars(self) | sides | {"classes": self.classes.to_dict("records")}
        return plain | {key: getattr(self.gaps, key) for key in tested}

    def __repr__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        card = html_card("Comparison", self.rows() | {"notes": " ".join(self.notes)})
        style = {"index": False, "border": 0, "classes": "dmlkit-table", "float_format": "{:.4f}".format}
        return card + self.class_table().to_html(**style)


def compare(a: Runs, b: Runs, *, dataset=None, resamples: int = 1000) -> Comparison:
    """The difference in GAP@20 of two experiments on the same videos, over several seeds where there are.

    Args:
        a, b: A run, the folder of one, a folder that holds several runs of one experiment with different seeds, or a
            list of these.
        dataset: The data set, for the names of classes where the runs were trained without a vocabulary.
        resamples: Number of bootstrap resamples of the videos.

    Returns:
        A `Comparison`: a table in a notebook, text in a terminal; `to_record()` gives plain values.

    Raises:
        UsageError: A side has no run, mixes experiments or profiles or holds a seed twice; the runs are of different
            data, classes, videos or labels; `dataset` is another.
        DataError: A run's record or scores are damaged.

    Differs from the paper: it trains every model once and states no intervals.
    """
    runs_a, notes_a = _open_side(a, side="A")
    runs_b, notes_b = _open_side(b, side="B")
    data, other = runs_a[0].record["data"], runs_b[0].record["data"]
    if data["fingerprint"] != other["fingerprint"]:
        raise UsageError(
            f"Runs on different data cannot be compared: {runs_a[0].path} is of {_data(**data)}, {runs_b[0].path} of "
            f"{_data(**other)}."
        )
    if dataset is not None and dataset.fingerprint != data["fingerprint"]:
        raise UsageError(
            f"The runs are of {_data(**data)}, and {_data(dataset.name, dataset.fingerprint)} is other data: its "
            "class names do not apply."
        )
    listed = [(run.path, run.class_names) for run in [*runs_a, *runs_b]]
    if dataset is not None and dataset.named:
        listed.append((dataset.path, dataset.class_names))
    names = shared_class_names(listed)
    measured, class_sizes = _measure([*runs_a, *runs_b])
    pairs, precisions, kept = zip(*measured, strict=True)
    split = len(runs_a)
    gaps = compare_gaps(pairs[:split], pairs[split:], resamples=resamples)
    names = names or [f"class {number}" for number in range(len(class_sizes))]
    of_a, of_b = (np.mean(side, axis=0) for side in (precisions[:split], precisions[split:]))
    columns = {"name": pd.Series(names, dtype=object), "videos": class_sizes, "a": of_a, "b": of_b}
    by_class = pd.DataFrame({"number": range(len(names))} | columns | {"difference": of_a - of_b})
    by_class = by_class[class_sizes >= FEWEST].sort_values("difference", ascending=False, kind="stable")
    return Comparison(
        a=Side(tuple(runs_a), gaps.a),
        b=Side(tuple(runs_b), gaps.b),
        data={key: data[key] for key in ("name", "generated", "fingerprint")},
        videos=len(pairs[0].true_labels),
        difference=gaps.difference,
        interval=Interval(*gaps.interval),
        resamples=resamples,
        classes=by_class.reset_index(drop=True),
        notes=(*notes_a, *notes_b, *_caveats(runs_a, runs_b, kept)),
    )


def _data(name: str, fingerprint: str, **_) -> str:
    return f"{shorten(name, 60)} (fingerprint {shorten(fingerprint[:16])})"


def _profile(run: Run) -> str:
    return run.record["profile"]["name"]


def _measure(runs: Sequence[Run]) -> tuple[list[tuple[TopPairs, np.ndarray, int | None]], np.ndarray]:
    """Every run's top pairs, average precisions and kept scores, in the first run's order; the videos of each class.

    Only one run's scores, which may take hundreds of megabytes, are in memory at a time.
    """
    first, measured = None, []
    for run in runs:
        predictions = vars(run).get("predictions") or Predictions.load(run.path / "predictions.npz")
        twice = len(np.unique(predictions.ids)) != len(predictions.ids)
        if twice or predictions.labels is None:
            what = "hold a video twice" if twice else "have no labels"
            raise DataError(f"The scores of {run.path} {what}, so they cannot be measured. Train it again.")
        first = first or predictions
        aligned = predictions.in_order_of(first.ids)
        if aligned is None:
            other = np.setxor1d(first.ids, predictions.ids)[0]
            raise UsageError(
                f"Runs on different videos cannot be compared: {runs[0].path} was scored on {len(first.ids):,}, "
                f"{run.path} on {len(predictions.ids):,}; only one has {shorten(other)!r}. Profiles may cap them: "
                "train both under one."
            )
        if not np.array_equal(aligned.labels, first.labels):
            raise UsageError(
                f"The labels of {runs[0].path} and {run.path} differ: train both on the same data to compare them."
            )
        metrics = aligned.measured()
        precision, class_sizes = metrics.by_class()
        measured.append((metrics.pairs(), precision, aligned.kept))
    return measured, class_sizes


def _caveats(a: list[Run], b: list[Run], kept: Iterable[int | None]) -> list[str]:
    notes = []
    of_a, of_b = (run.record["profile"] | {"precision": run.record.get("precision")} for run in (a[0], b[0]))
    differing = [
        f"{key} {shorten(of_a.get(key))} and {shorten(of_b.get(key))}"
        for key in {**of_a, **of_b}
        if key not in DESCRIPTIONS and of_a.get(key) != of_b.get(key)
    ]
    if differing:
        conditions = shorten(", ".join(differing), 300)
        notes.append(f"A and B were trained under different conditions: {conditions}.")
    if shared := {run.path.resolve() for run in a} & {run.path.resolve() for run in b}:
        notes.append(f"A run is on both sides: {shorten(sorted(shared)[0], 200)}.")
    if fewest := min((each for each in kept if each is not None), default=None):
        notes.append(
            f"Of some runs only each video's {fewest:,} highest scores were kept; the others come last in average "
            "precision by class, and in ensembles count as just below the lowest kept."
        )
    return notes


def _grouped(runs: Iterable[Run]) -> list[list[Run]]:
    """Runs that differ in their seeds alone, together, in order of appearance."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        record = run.record
        experiment, profile = (
            {key: value for key, value in record[part].items() if key not in DESCRIPTIONS}
            for part in ("experiment", "profile")
        )
        conditions = record["data"]["fingerprint"], record["kind"], record.get("precision")
        groups.setdefault(json.dumps([experiment, profile, conditions], sort_keys=True), []).append(run)
    return list(groups.values())


def _listed(groups: Sequence[list[Run]]) -> str:
    listed = [
        f"{shorten(run.name)}, profile {shorten(_profile(run))}, on {shorten(run.record['data']['name'], 60)} "
        f"({counted(len(others) + 1, 'run')}, {shorten(run.path, 400)})"
        for run, *others in groups[:6]
    ]
    return "; ".join(listed) + "; …" * (len(groups) > 6)


def _open(named: Runs) -> tuple[list[Run], list[str]]:
    """The runs of what is named, and a note for each that was left out because it cannot be read."""
    runs, notes = [], []
    for each in [named] if isinstance(named, Named) else named:
        if isinstance(each, Run) or (Path(each) / RECORD).exists():
            runs.append(as_run(each))
            continue
        found, damaged = find_runs(each) if Path(each).is_dir() else ([], [])
        if not found:
            reason = shorten(damaged[0], 400) if damaged else "`dmlkit runs` lists the runs there are."
            raise UsageError(f"There is no finished run at {each}, nor below it. {reason}")
        runs += found
        notes += [f"Left out: {line}" for line in summarize_errors(damaged)]
    return runs, notes


def _open_side(named: Runs, *, side: str) -> tuple[list[Run], list[str]]:
    """The runs of one side by seed, and notes on those left out."""
    runs, notes = _open(named)
    if not runs:
        raise UsageError(f"Side {side} names no run. Name the folder of one, or one that holds several.")
    if len(groups := _grouped(runs)) > 1:
        raise UsageError(
            f"Side {side} mixes runs that differ in more than their seeds: {_listed(groups)}. Name the runs of one of "
            "them; of an experiment's name, choose with --profile NAME or a narrower --runs FOLDER."
        )
    runs.sort(key=lambda run: run.record["seed"])
    for run, following in pairwise(runs):
        if (seed := run.record["seed"]) == following.record["seed"]:
            raise UsageError(
                f"Side {side} holds the seed {seed} twice: {run.path} and {following.path}. Name one of them."
            )
    return runs, notes


def two_sides(named: Sequence[Path], *, folder: Path, profile: str | None) -> tuple[Runs, Runs, list[str]]:
    """The sides that a command line names, and a note for each run that was left out.

    `named` are paths, and names of experiments, each of which means all its finished runs below `folder` (under
    `profile`). What exists on disk is a path. More than two, as a shell's globs leave them, are grouped by what was
    trained.
    """
    names = {each for each in named if not os.path.lexists(each) and each.name == str(each)}
    if profile is not None and named and not names:
        raise UsageError(
            "--profile chooses among the runs of an experiment that is given by its name, and only paths are named "
            "here. Name the paths of the runs under that profile."
        )
    runs, damaged = find_runs(folder) if names and folder.is_dir() else ([], [])
    notes = [f"Left out: {line}" for line in summarize_errors(damaged)]
    trained = sorted({shorten(run.name) for run in runs})
    sides: list[Runs] = []
    for each in named:
        if each not in names:
            sides.append([each])
            continue
        of_name = [run for run in runs if run.name == str(each)]
        chosen = [run for run in of_name if profile in (None, _profile(run))]
        if not chosen:
            profiles = sorted({shorten(_profile(run)) for run in of_name})
            hint = nearest(profile, profiles) if of_name else nearest(str(each), trained)
            under = f" under the profile {profile!r}" if profile else ""
            raise UsageError(
                f"There is no finished run of {shorten(each)}{under} below {folder}, nor a path of that name.{hint} "
                f"There are runs of: {', '.join(profiles or trained) or 'nothing'}. Name their folder with --runs, or "
                "train it."
            )
        sides.append(chosen)
    if len(sides) > 2:
        runs, more = _open([run for side in sides for run in side])
        sides, notes = _grouped(runs), notes + more
    if len(sides) != 2:
        raise UsageError(
            "A comparison has two sides: name two experiments, two runs, or two folders of runs. Received: "
            f"{len(sides)}{f' ({_listed(sides)})' if len(named) > 2 else ''}."
        )
    return sides[0], sides[1], notes
