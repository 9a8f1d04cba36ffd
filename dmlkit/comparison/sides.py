"""What a reader names as a side, opened: runs of one experiment under one profile, each of another seed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from dmlkit.errors import UsageError
from dmlkit.runs import RECORD, Run, find_runs, load_run, summarize_errors
from dmlkit.text import shorten

Named = Run | str | os.PathLike

# What an experiment or a profile says for people, without changing what is trained.
_WORDS = ("title", "chapter", "paper_gap", "purpose")


class Opened(NamedTuple):
    """The runs of what was named, and a note for each that was left out because it cannot be read."""

    runs: list[Run]
    notes: list[str]


def open_side(named: Named | Sequence[Named], *, side: str) -> Opened:
    """The runs of one side, in the order of their seeds.

    Args:
        named: A run, the folder of one, a folder that holds several of one experiment, or a list of these.
        side: What the side is called, for the message.

    Raises:
        UsageError: There is no run, the runs are of several experiments or profiles, or a seed comes twice.
        DataError: The record of a run that was named is damaged.
    """
    opened = _opened([named] if isinstance(named, Named) else named)
    if not opened.runs:
        raise UsageError(f"Side {side} names no run. Name the folder of one, or one that holds several.")
    groups = groups_of(opened.runs)
    if len(groups) > 1:
        raise UsageError(
            f"Side {side} mixes {len(groups)} experiments, where it may hold several seeds of one: "
            f"{_listed(groups)}. Name the runs of one of them."
        )
    by_seed: dict[int, Run] = {}
    for run in opened.runs:
        other = by_seed.setdefault(run.record["seed"], run)
        if other is not run:
            raise UsageError(
                f"Side {side} holds the seed {run.record['seed']} twice: {other.path} and {run.path}. Two runs of "
                "one seed tell nothing about what another seed would do. Name one of them."
            )
    return Opened([by_seed[seed] for seed in sorted(by_seed)], opened.notes)


class Sides(NamedTuple):
    """Two sides as `compare` takes them, and a note for each run that was left out."""

    a: Named | list[Run]
    b: Named | list[Run]
    notes: list[str]


def two_sides(named: Sequence[Named | list[Run]]) -> Sides:
    """The sides among what stands on a command line.

    Args:
        named: Two are the two sides as they are. More, as a shell's globs leave them, are put together by
            experiment and profile, in the order in which these come.

    Raises:
        UsageError: Fewer than two, or the runs are not of exactly two experiments.
        DataError: The record of a run that was named is damaged.
    """
    if len(named) < 2:
        raise UsageError(
            f"A comparison has two sides: name two runs, or two folders of runs. Received: {len(named)}."
        )
    if len(named) == 2:
        return Sides(*named, notes=[])
    opened = _opened([run for each in named for run in (each if isinstance(each, list) else [each])])
    groups = groups_of(opened.runs)
    if len(groups) != 2:
        raise UsageError(
            f"A comparison has two sides, and the runs of these {len(named)} paths are of {len(groups)} "
            f"{'experiment' if len(groups) == 1 else 'experiments'}{': ' + _listed(groups) if groups else ''}. Name "
            "the runs of two of them."
        )
    return Sides(*groups.values(), notes=opened.notes)


def groups_of(runs: Iterable[Run]) -> dict[str, list[Run]]:
    """Runs that differ in their seeds alone, together; a name for each group, in order of appearance."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(json.dumps(settings_of(run), sort_keys=True), []).append(run)
    return dict(zip(_names(list(groups.values())), groups.values(), strict=True))


def settings_of(run: Run) -> dict:
    """All that decides what is trained, apart from the data and the seed: key → plain value."""
    record = run.record
    settings = {f"experiment.{name}": value for name, value in record["experiment"].items()}
    settings |= {f"profile.{name}": value for name, value in record["profile"].items()}
    settings = {key: value for key, value in settings.items() if key.split(".")[1] not in _WORDS}
    return settings | {"kind": record["kind"], "precision": record.get("precision")}


def _opened(named: Sequence[Named]) -> Opened:
    runs, notes = [], []
    for each in named:
        if isinstance(each, Run):
            runs.append(each)
            continue
        path = Path(each)
        if (path / RECORD).exists():
            runs.append(load_run(path))
            continue
        if not path.is_dir():
            raise UsageError(f"There is no run at {path}: no such folder. `dmlkit runs` lists what there is.")
        found = find_runs(path)
        if not found.runs:
            why = (
                f" {shorten(found.damaged[0], 400)}"
                if found.damaged
                else " `dmlkit runs` lists what there is."
            )
            raise UsageError(f"There is no finished run at {path}, nor below it.{why}")
        runs += found.runs
        notes += [f"Left out: {line}" for line in summarize_errors(found.damaged)]
    return Opened(runs, notes)


def _names(groups: list[list[Run]]) -> list[str]:
    """What each group is called; where that is not enough to tell them apart, in what they differ."""
    names = [
        f"{shorten(runs[0].name)} under the profile {shorten(runs[0].record['profile']['name'])}"
        for runs in groups
    ]
    told = []
    for name, runs in zip(names, groups, strict=True):
        namesakes = [settings_of(each[0]) for each, other in zip(groups, names, strict=True) if other == name]
        own = settings_of(runs[0])
        differing = [
            f"{key} {shorten(own.get(key))}"
            for key in dict.fromkeys(key for settings in namesakes for key in settings)
            if any(settings.get(key) != own.get(key) for settings in namesakes)
        ]
        told.append(name + (f" with {', '.join(differing[:3])}" if differing else ""))
    # Long settings are shortened; should two come out alike, their number tells them apart.
    return [name if told.index(name) == place else f"{name} ({place + 1})" for place, name in enumerate(told)]


def _listed(groups: dict[str, list[Run]]) -> str:
    said = [
        f"{name} ({len(runs)} {'run' if len(runs) == 1 else 'runs'}, {runs[0].path})"
        for name, runs in list(groups.items())[:6]
    ]
    return "; ".join(said) + (f"; and {len(groups) - 6} more" if len(groups) > 6 else "")
