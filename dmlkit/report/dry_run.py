"""What a report would do, without doing it: nothing is executed and nothing is written."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from dmlkit.errors import choose
from dmlkit.profiles import PROFILES
from dmlkit.report.building import default_data
from dmlkit.report.chapters import EXECUTED, NOT_APPLICABLE, UNCHANGED, Plan
from dmlkit.report.ground import Ground, KnownData
from dmlkit.report.limits import check_jobs, seconds_of
from dmlkit.report.notebooks import find_notebooks, notebooks_folder
from dmlkit.report.parameter_help import WIDTH, tell_value
from dmlkit.report.planning import CORE, check_parameters
from dmlkit.report.reasons import why_executed
from dmlkit.report.rungs import planned_rungs
from dmlkit.report.scheduling import waits_of

if TYPE_CHECKING:
    from dmlkit.data import Dataset


@dataclass(frozen=True, kw_only=True)
class Prospect:
    """What would become of one notebook.

    Args:
        plan: The notebook, its values and its rungs.
        status: `executed`, `unchanged` or `not applicable`.
        why: Why it would be executed, or why it is not applicable.
        trained: Those of its rungs that have a finished run.
        elsewhere: Those that a notebook before it would train → that notebook.
    """

    plan: Plan
    status: str
    why: str | None
    trained: tuple[str, ...]
    elsewhere: Mapping[str, str]

    @property
    def training(self) -> tuple[str, ...]:
        """The rungs that it would train itself."""
        if self.status != EXECUTED:
            return ()
        found = {*self.trained, *self.elsewhere}
        return tuple(name for name in self.plan.rungs if name not in found)


def tell_plan(
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
    check_jobs(jobs)
    if time_limit is not None:
        seconds_of(time_limit)
    folder = notebooks_folder() if folder is None else Path(folder)
    waits_of(find_notebooks(folder), folder=folder)
    chosen = find_notebooks(folder, notebooks)
    check_parameters(chosen, parameters or {})
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
    return _told(prospects, ground, to_come=to_come)


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
        trained = tuple(name for name, rung in rungs.items() if ground.walk.find(rung))
        status, why = _outcome(plan, ground, data=data, force=force, coming=coming)
        prospect = Prospect(
            plan=replace(plan, rungs=tuple(rungs)),
            status=status,
            why=why,
            trained=trained,
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
        from dmlkit.data.synthetic_settings import Settings

        return KnownData(
            path=str(self.path),
            mark="",
            name="generated",
            generated=True,
            level="frame",
            features=dict(Settings().sizes),
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


def _told(prospects: Sequence[Prospect], ground: Ground, *, to_come: bool) -> str:
    runs = f"profile {ground.profile}, seed {ground.seed}" + (
        ", deterministic" if ground.deterministic else ""
    )
    generated = " (not there yet: it would be generated)" if to_come else ""
    head = [f"The report in {ground.out} would have: {runs}", f"Data: {ground.path}{generated}"]
    return "\n".join(
        [*head, "", *(line for each in prospects for line in _chapter(each)), *_total(prospects)]
    )


def _chapter(prospect: Prospect) -> list[str]:
    outcome = {
        EXECUTED: f"would be executed: {prospect.why}",
        UNCHANGED: "unchanged, would be left as it is",
        NOT_APPLICABLE: f"not applicable: {prospect.why}",
    }
    lines = _wrapped(f"{prospect.plan.notebook.name}  {outcome[prospect.status]}", "")
    if prospect.status != NOT_APPLICABLE:
        lines += _wrapped(_values(prospect.plan), "    ")
        lines += _wrapped(_rungs("trains", prospect.training), "    ")
        lines += _wrapped(_rungs("already trained", prospect.trained), "    ")
        waits = [f"{name} (by {home})" for name, home in prospect.elsewhere.items()]
        lines += _wrapped(_rungs("trained before it", waits), "    ")
    return [*lines, ""]


def _values(plan: Plan) -> str:
    told = []
    for parameter in plan.notebook.parameters:
        if parameter.name not in CORE:
            value = plan.values.get(parameter.name, parameter.default)
            changed = f" (default {tell_value(parameter.default)})" if value != parameter.default else ""
            told.append(f"{parameter.name}={tell_value(value)}{changed}")
    return f"parameters: {', '.join(told)}" if told else ""


def _rungs(what: str, names: Collection[str]) -> str:
    return f"{what}: {', '.join(names)}" if names else ""


def _total(prospects: Sequence[Prospect]) -> list[str]:
    by_status = {status: sum(each.status == status for each in prospects) for status in TOLD}
    notebooks = ", ".join(f"{count} {TOLD[status]}" for status, count in by_status.items() if count)
    training = {name for each in prospects for name in each.training}
    trained = {name for each in prospects for name in each.trained}
    return _wrapped(
        f"Notebooks: {notebooks}. Rungs: {len(training)} would be trained, {len(trained)} trained already. "
        "Nothing was executed or written.",
        "",
    )


TOLD = {EXECUTED: "would be executed", UNCHANGED: "unchanged", NOT_APPLICABLE: "not applicable"}


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent + "    ",
        break_on_hyphens=False,
        break_long_words=False,
    )
