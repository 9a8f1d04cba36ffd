"""What a report would do, without doing it: nothing is executed and nothing is written."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from dmlkit.errors import DataError, choose
from dmlkit.profiles import PROFILES
from dmlkit.report.building import default_data
from dmlkit.report.chapters import EXECUTED, NOT_APPLICABLE, UNCHANGED, Plan
from dmlkit.report.limits import check_jobs, check_seed, seconds_of
from dmlkit.report.planning.notebooks import find_notebooks, notebooks_folder
from dmlkit.report.planning.plans import check_parameters
from dmlkit.report.planning.prospects import Prospect, tell_prospects
from dmlkit.report.planning.rungs import planned_rungs, run_of
from dmlkit.report.resuming.ground import Ground, KnownData
from dmlkit.report.resuming.reasons import why_executed
from dmlkit.report.resuming.standing import check_place
from dmlkit.report.scheduling import waits_of

if TYPE_CHECKING:
    from dmlkit.data import Dataset


def describe_plan(
    *,
    data: str | Path | None = None,
    profile: str = "demo",
    out: str | Path,
    parameters: Mapping[str, object] | None = None,
    seed: int = 0,
    deterministic: bool = False,
    notebooks: Sequence[str] | None = None,
    folder: str | Path | None = None,
    force: bool = False,
    jobs: int = 1,
    time_limit: str | None = None,
) -> str:
    """What `build_report` would do with the same arguments, as lines for a terminal.

    Args:
        data: The folder of the data set; where it is missing and would be generated, the plan is made as for it.
        profile, out, parameters, seed, deterministic, notebooks, folder, force, jobs, time_limit: As for
            `build_report`.

    Raises:
        UsageError: As `build_report` would raise it before a notebook runs.
        DataError: The data set is missing or damaged.
    """
    choose(PROFILES, profile, what="profile")
    check_seed(seed)
    check_jobs(jobs)
    if time_limit is not None:
        seconds_of(time_limit)
    folder = notebooks_folder() if folder is None else Path(folder)
    waits_of(find_notebooks(folder), folder=folder)
    chosen = find_notebooks(folder, notebooks)
    check_parameters(chosen, parameters or {})
    check_place(Path(out))
    data = default_data() if data is None else data
    to_come = _would_be_generated(data)
    ground = (_Unmade if to_come else Ground)(
        data,
        out=Path(out),
        profile=profile,
        seed=seed,
        deterministic=deterministic,
        parameters=parameters or {},
    )
    mark = None if to_come else ground.known.mark
    prospects = look_ahead(ground.plans(chosen), ground, data=mark, force=force)
    return tell_prospects(prospects, ground, to_come=to_come)


def look_ahead(
    plans: Sequence[Plan], ground: Ground, *, data: str | None, force: bool = False
) -> list[Prospect]:
    """What would become of notebooks, in their order.

    Args:
        plans: What is to be done for each.
        ground: The data set and the conditions.
        data: The mark of the data set; None where it is not there yet.
        force: Whether they are executed even where nothing changed.
    """
    coming: dict[str, str] = {}
    prospects = []
    for plan, rungs in zip(plans, planned_rungs(plans, ground.walk), strict=True):
        there = {name: found for name, rung in rungs.items() if (found := run_of(rung, ground.walk))}
        damaged = {name: found for name, found in there.items() if isinstance(found, DataError)}
        status, why = _outcome(plan, ground, data=data, force=force, coming=coming)
        prospect = Prospect(
            plan=replace(plan, rungs=tuple(rungs)),
            status=status,
            why=why,
            trained=tuple(name for name in there if name not in damaged),
            damaged={name: str(error) for name, error in damaged.items()},
            elsewhere={name: coming[name] for name in rungs if name in coming},
        )
        coming |= dict.fromkeys(prospect.training, plan.notebook.name)
        prospects.append(prospect)
    return prospects


def _outcome(
    plan: Plan, ground: Ground, *, data: str | None, force: bool, coming: Collection[str]
) -> tuple[str, str | None]:
    if plan.reason:
        return NOT_APPLICABLE, plan.reason
    why = why_executed(
        plan,
        ground.out / "notebooks" / plan.notebook.path.name,
        data=data,
        runs=ground.out / "runs",
        coming=coming,
    )
    if why is None and force:
        why = "forced"
    return (EXECUTED, why) if why else (UNCHANGED, None)


def _would_be_generated(data: str | Path) -> bool:
    folder = Path(data)
    return folder.name == "generated" and "://" not in str(data) and not folder.exists()


class _Unmade(Ground):
    """On the data set that would be generated: its schema is known, its shards are not there."""

    def _know(self) -> KnownData:
        from dmlkit.data import SyntheticSettings

        return KnownData(
            path=str(self.path),
            mark="",
            name="generated",
            generated=True,
            level="frame",
            features=dict(SyntheticSettings().sizes),
        )

    @cached_property
    def dataset(self) -> Dataset:
        from dmlkit.data import Dataset, Feature

        known = self.known
        return Dataset(
            path=known.path,
            name=known.name,
            level=known.level,
            features={name: Feature(name, size, "byte", name) for name, size in known.features.items()},
            num_classes=0,
            class_names=(),
            splits={},
            labelled=frozenset(),
            generated=True,
        )
