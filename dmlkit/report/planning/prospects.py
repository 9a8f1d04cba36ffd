"""What would become of each notebook, and how a terminal is told."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from dmlkit.report.chapters import EXECUTED, NOT_APPLICABLE, UNCHANGED, Plan
from dmlkit.report.planning.parameter_help import WIDTH, tell_value
from dmlkit.report.planning.plans import CORE
from dmlkit.report.resuming.ground import Ground


@dataclass(frozen=True, kw_only=True)
class Prospect:
    """What would become of one notebook.

    Args:
        plan: The notebook, its values and its rungs.
        status: `executed`, `unchanged` or `not applicable`.
        why: Why it would be executed, or why it is not applicable.
        trained: Those of its rungs that have a finished run.
        damaged: Those whose run is there and cannot be read → what is wrong with it.
        elsewhere: Those that a notebook before it would train → that notebook.
    """

    plan: Plan
    status: str
    why: str | None
    trained: tuple[str, ...]
    damaged: Mapping[str, str]
    elsewhere: Mapping[str, str]

    @property
    def training(self) -> tuple[str, ...]:
        """The rungs that it would train itself."""
        if self.status != EXECUTED:
            return ()
        found = {*self.trained, *self.damaged, *self.elsewhere}
        return tuple(name for name in self.plan.rungs if name not in found)


def tell_prospects(prospects: Sequence[Prospect], ground: Ground, *, to_come: bool) -> str:
    """Lines of at most 80 characters, but for paths and the reasons that hold them.

    Args:
        prospects: In the order of the notebooks.
        ground: The data set and the conditions.
        to_come: Whether the data set would be generated first.
    """
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
        for name, wrong in prospect.damaged.items():
            lines += _wrapped(f"the run of {name} is damaged: {wrong}", "    ")
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
