"""Which notebook runs when: after those it waits for, some side by side."""

from __future__ import annotations

import graphlib
import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dmlkit.errors import UsageError, nearest
from dmlkit.report.chapters import Chapter, Plan
from dmlkit.report.kernels.stopping import Stop
from dmlkit.report.planning.notebooks import Notebook

if TYPE_CHECKING:
    from dmlkit.training import Study

TICK = 0.2  # seconds: a wait that never ends by itself would not hear Ctrl-C on every system
PATIENCE = 15  # seconds for kernels to end when the report itself broke


def waits_of(notebooks: Sequence[Notebook], *, folder: Path) -> dict[str, frozenset[str]]:
    """Notebook → all that must have ended before it starts, also through others.

    Args:
        notebooks: All notebooks of the folder: one that is not to run still hands on what it waits for.
        folder: The folder, for the message.

    Raises:
        UsageError: A notebook waits for one that is not there, or for itself.
    """
    after = {notebook.name: notebook.after for notebook in notebooks}
    for name, names in after.items():
        for other in names:
            if other not in after:
                raise UsageError(
                    f"The notebook {name} is to run after {other!r}, and there is no such notebook in {folder}."
                    f"{nearest(other, after)} Put it there, or take it out of the metadata of {name}."
                )
    try:
        order = list(graphlib.TopologicalSorter(after).static_order())
    except graphlib.CycleError as error:
        circle = " after ".join(reversed(error.args[1]))
        raise UsageError(
            f"The notebooks in {folder} wait for each other: {circle}. Take one of these out of the metadata "
            "(`after`) of its notebook."
        ) from None
    waits: dict[str, frozenset[str]] = {}
    for name in order:
        waits[name] = frozenset(after[name]).union(*(waits[other] for other in after[name]))
    return waits


def most_side_by_side(plans: Sequence[Plan], waits: Mapping[str, frozenset[str]]) -> int:
    """The most of these notebooks that can run at a time, however many jobs there are; at least 1.

    Args:
        plans: The chosen ones; those that do not apply do not run.
        waits: Notebook → all that must have ended before.
    """
    names = [plan.notebook.name for plan in plans if plan.reason is None]
    # Dilworth: as many as the fewest queues in which each waits for the one before it. Each link found saves a queue.
    before: dict[str, str] = {}

    def link(name: str, seen: set[str]) -> bool:
        for other in waits.get(name, frozenset()).intersection(names) - seen:
            seen.add(other)
            if other not in before or link(before[other], seen):
                before[other] = name
                return True
        return False

    return max(1, len(names) - sum(link(name, set()) for name in names))


def missing_rung(plan: Plan, failed: Sequence[Plan], study: Study) -> str | None:
    """Why a notebook cannot run after others failed, or None.

    Args:
        plan: The notebook, with its rungs.
        failed: The plans of the notebooks that failed before it, with theirs.
        study: Tells which rungs have a finished run now.

    Returns:
        The rung that both were to train and nobody has, in a line.
    """
    for before in failed:
        for rung in plan.rungs:
            if rung in before.rungs and study.find(rung) is None:
                return f"it needs {rung}, which {before.notebook.name} did not leave"
    return None


def side_by_side(
    plans: Sequence[Plan],
    *,
    waits: Mapping[str, frozenset[str]],
    jobs: int,
    settle: Callable[[Plan], Chapter | None],
    run: Callable[[Plan], Chapter],
    stop: Stop,
    waiting_on: Callable[[], None] = lambda: None,
) -> Iterator[Chapter]:
    """Run notebooks, each as soon as those it waits for have ended, and give each chapter as it ends.

    Args:
        plans: In the order in which they start where nothing else decides.
        waits: Notebook → those that must have ended before.
        jobs: The most that run at a time.
        settle: The chapter of a notebook that need not or cannot run, else None; called when its turn comes.
        run: Runs a notebook, in a thread of its own.
        stop: Is asked where this ends early; `run` heeds it.
        waiting_on: Called now and then while notebooks run.
    """
    to_come = {plan.notebook.name: plan for plan in plans}
    running: dict[str, threading.Thread] = {}
    ended: queue.SimpleQueue = queue.SimpleQueue()
    try:
        while to_come or running:
            while len(running) < jobs and (name := _next(to_come, running, waits)):
                plan = to_come.pop(name)
                if chapter := settle(plan):
                    yield chapter
                else:
                    running[name] = _start(run, plan, ended)
            if running:
                name, outcome = _first(ended, waiting_on)
                running.pop(name).join()
                if isinstance(outcome, BaseException):
                    raise outcome
                yield outcome
    except KeyboardInterrupt:  # somebody asked a second time: at once
        raise
    except BaseException:
        stop.ask("the report broke off")
        for thread in running.values():
            thread.join(PATIENCE)
        raise


def _next(to_come: Mapping[str, Plan], running: Mapping, waits: Mapping[str, frozenset[str]]) -> str | None:
    pending = to_come.keys() | running.keys()
    return next((name for name in to_come if not waits.get(name, frozenset()) & pending), None)


def _start(run: Callable[[Plan], Chapter], plan: Plan, ended: queue.SimpleQueue) -> threading.Thread:
    def go() -> None:
        try:
            outcome = run(plan)
        except BaseException as error:  # raised anew where somebody can act on it
            outcome = error
        ended.put((plan.notebook.name, outcome))

    # A daemon, so that a second Ctrl-C need not wait for it; its kernel ends when this process is gone.
    thread = threading.Thread(target=go, name=plan.notebook.name, daemon=True)
    thread.start()
    return thread


def _first(ended: queue.SimpleQueue, waiting_on: Callable[[], None]) -> tuple[str, Chapter | BaseException]:
    while True:
        waiting_on()
        try:
            return ended.get(timeout=TICK)
        except queue.Empty:
            continue
