"""Names of experiments in the place of paths: all finished runs of one below a folder."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from dmlkit.comparison.sides import Named
from dmlkit.errors import UsageError, nearest
from dmlkit.runs import Run, RunListing, find_runs, summarize_errors
from dmlkit.text import shorten


class Told(NamedTuple):
    """What was named, a list of runs in the place of each name, and a note for each run that was left out."""

    sides: list[Named | list[Run]]
    notes: list[str]


def runs_of_names(
    named: Sequence[Path], *, folder: Path, known: Iterable[str], profile: str | None = None
) -> Told:
    """Put the runs of an experiment where its name stands; what is a path stays one.

    Args:
        named: Paths, and names of experiments. What is there on disk is a path.
        folder: The folder below which the runs of a name lie.
        known: The names of experiments that may have no run yet.
        profile: Only the runs of names under this profile.

    Raises:
        UsageError: A name is unknown or has no finished run, its runs are under several profiles or on several data
            sets, or there is a profile and no name.
    """
    names = [each for each in named if _is_name(each)]
    if not names:
        if profile is not None and named:
            raise UsageError(
                "--profile chooses among the runs of an experiment that is called by its name, and only paths are "
                "named here. Name the paths of the runs under that profile."
            )
        return Told(list(named), [])
    found = find_runs(folder) if folder.is_dir() else RunListing([], [])
    among = _Below(folder, found.runs, sorted(known), profile)
    sides = [among.runs_of(str(each)) if each in names else each for each in named]
    return Told(sides, [f"Left out: {line}" for line in summarize_errors(found.damaged)])


def _is_name(path: Path) -> bool:
    return not os.path.lexists(path) and path.name == str(path)


class _Below(NamedTuple):
    folder: Path
    runs: list[Run]
    known: list[str]
    profile: str | None

    def runs_of(self, name: str) -> list[Run]:
        """The runs of one experiment, which differ in their seeds alone as far as profile and data tell."""
        runs = [run for run in self.runs if run.name == name]
        if not runs:
            raise UsageError(self._why_none(name))
        if self.profile is not None:
            profiles = sorted({_profile(run) for run in runs})
            runs = [run for run in runs if _profile(run) == self.profile]
            if not runs:
                raise UsageError(
                    f"There is no finished run of {name} under the profile {self.profile!r} below {self.folder}."
                    f"{nearest(self.profile, map(shorten, profiles))} There are runs of it under: "
                    f"{', '.join(map(shorten, profiles))}."
                )
        self._check_alike(name, runs)
        return runs

    def _why_none(self, name: str) -> str:
        trained = sorted({shorten(run.name) for run in self.runs})
        if name not in self.known:
            return (
                f"{name!r} is neither a path nor the name of an experiment.{nearest(name, [*trained, *self.known])} "
                f"`dmlkit runs {self.folder}` lists the runs there are."
            )
        there = f" Those there are of: {', '.join(trained)}." if trained else ""
        return (
            f"There is no finished run of {name} below {self.folder}. Name the folder of the runs with --runs, or "
            f"train it with `dmlkit train`.{there}"
        )

    def _check_alike(self, name: str, runs: list[Run]) -> None:
        groups: dict[tuple[str, str], list[Run]] = {}
        for run in runs:
            groups.setdefault((_profile(run), run.record["data"]["fingerprint"]), []).append(run)
        if len(groups) == 1:
            return
        several_profiles = len({profile for profile, _ in groups}) > 1
        several_data = len({data for _, data in groups}) > 1
        ways = (["--profile NAME"] if several_profiles else []) + ["a narrower folder, --runs FOLDER"]
        listed = "; ".join(_said(each) for each in list(groups.values())[:6])
        more = f"; and {len(groups) - 6} more" if len(groups) > 6 else ""
        what = [each for each, so in (("profiles", several_profiles), ("data sets", several_data)) if so]
        raise UsageError(
            f"The runs of {name} below {self.folder} are of several {' and '.join(what)}: {listed}{more}. Choose with "
            f"{' or '.join(ways)}."
        )


def _profile(run: Run) -> str:
    return run.record["profile"]["name"]


def _said(runs: list[Run]) -> str:
    below = os.path.commonpath([run.path.parent for run in runs]) or os.curdir
    return (
        f"profile {shorten(_profile(runs[0]))} on {shorten(runs[0].record['data']['name'], 60)} ({len(runs)} "
        f"{'run' if len(runs) == 1 else 'runs'} below {shorten(below, 400)})"
    )
