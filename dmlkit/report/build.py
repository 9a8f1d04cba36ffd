"""The report: notebooks executed in their order, some in parallel, and rendered with an index page."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from tqdm import tqdm

from dmlkit.errors import UsageError, duration
from dmlkit.report.cache import locked_folder, read_stamp, write_stamp, writing
from dmlkit.report.pages import write_front, write_page
from dmlkit.report.plan import Context, Plan, check_arguments, execution_order, experiments_of
from dmlkit.runtime import Stop, cores, stop_on_signals

TICK = 0.1  # seconds between two checks of what runs
LAST_LINES = 12  # of an error, in the terminal
EXECUTED, UNCHANGED, FAILED = "executed", "unchanged", "failed"
NOT_RUN, NOT_APPLICABLE, INTERRUPTED = "not run", "not applicable", "interrupted"

# How a notebook, or the whole report, ended → the command's exit code, and what that means. The first that occurred is
# the report's.
EXIT_CODES = {
    "terminated": (143, "terminated; the same command continues where it stopped"),
    "interrupted": (130, "interrupted; the same command continues where it stopped"),
    "kernel died": (5, "a kernel died"),
    "time limit": (6, "a notebook ran into its time limit"),
    "data": (3, "data were missing or damaged"),
    "cell": (4, "a cell failed, or a page could not be made"),
    "page": (4, "a cell failed, or a page could not be made"),
    "disk": (2, "a notebook could not be written"),
}


@dataclass(frozen=True)
class Chapter:
    """One notebook of a report and what became of it."""

    name: str
    title: str
    question: str
    status: str
    reason: str | None = None
    seconds: float | None = None
    executed: str | None = None
    html: Path | None = None
    notebook: Path | None = None
    kind: str | None = None
    runs: Mapping[str, str | None] = field(default_factory=dict, repr=False)

    def to_record(self) -> dict:
        """Plain values for `results.json`: whatever call executed it, it is executed; the page by its name."""
        record = {name: getattr(self, name) for name in ("name", "title", "reason", "executed", "seconds")}
        status = EXECUTED if self.status == UNCHANGED else self.status
        return record | {"status": status, "html": self.html and self.html.name}


@dataclass(frozen=True)
class Report:
    """A finished report."""

    out: Path
    chapters: tuple[Chapter, ...]
    seconds: float
    ended: str | None = None

    @property
    def index(self) -> Path:
        """The index page."""
        return self.out / "index.html"

    @property
    def exit_code(self) -> int:
        """0, or what `EXIT_CODES` has for the worst that happened."""
        return self.exit[0]

    @property
    def exit(self) -> tuple[int, str]:
        """The exit code, and what it means."""
        kinds = {self.ended, *(chapter.kind for chapter in self.chapters)}
        return next((exit for kind, exit in EXIT_CODES.items() if kind in kinds), (0, "nothing failed"))


def build_report(
    *,
    out: str | Path,
    data: str | Path | None = None,
    profile: str = "demo",
    parameters: Mapping[str, object] | None = None,
    seed: int = 0,
    seeds: int = 1,
    deterministic: bool = False,
    notebooks: Sequence[str] | None = None,
    folder: str | Path | None = None,
    force: bool = False,
    jobs: int = 1,
    time_limit: str | None = None,
    echo: Callable[[str], None] = print,
) -> Report:
    """Execute the notebooks on a data set, render them, and write the index page and `results.json`.

    A notebook that was executed before is left as it is, unless its source, its values, the data, this package or the
    runs it looked at have changed since. One that fails keeps what it got done; those that can do without it go on.
    Ctrl-C and SIGTERM end the notebooks and keep what there is: the same call continues from there.

    Args:
        out: The folder of the report.
        data: The folder of the data set; the generated one where None, made where it is missing.
        profile: The conditions, a name in `PROFILES`.
        parameters: Values for the notebooks' own parameters, typed or as text.
        seed: Of every training.
        seeds: Under how many seeds, `seed` and those after it, the ladder is trained.
        deterministic: The same numbers for the same seed and number of threads.
        notebooks: Names of some of the notebooks; where None, all but those of which nothing is trained or to be
            trained. The others stay in the report where they are as they would be executed now.
        folder: Where the notebooks are; those of this package where None.
        force: Execute the notebooks even where nothing changed.
        jobs: How many notebooks run at a time, each with its share of the threads.
        time_limit: How long a notebook may take, such as `45m`; as long as it likes where None.
        echo: Takes a line of progress.

    Returns:
        What became of each chapter, and the exit code of the command.

    Raises:
        UsageError: An unknown profile, notebook or parameter, a wrong value or seed, notebooks that wait for each
            other, or a folder that cannot be written or in which another report is made at the moment.
        DataError: The data set is missing or damaged.
    """
    began, started = time.monotonic(), datetime.now(UTC).isoformat(timespec="seconds")
    out, stop = Path(out), Stop()
    there, chosen, seconds = check_arguments(folder, notebooks, parameters or {}, jobs, time_limit)
    conditions = {"profile": profile, "seed": seed, "seeds": seeds, "deterministic": deterministic}
    # Before the folder is made: data that are missing leave none.
    context = Context(data, out=out, parameters=parameters, **conditions)
    plans = {notebook.name: context.plan(notebook) for notebook in chosen}
    options = {} if notebooks else {plan.name: context.omits(plan) for plan in plans.values()}
    plans = {name: plan for name, plan in plans.items() if not options.get(name)}
    titles = {name: plan.notebook.title for name, plan in plans.items() if plan.reason is None}
    jobs = max(1, min(jobs, len(titles)))
    limits = {"seconds": seconds, "threads": max(1, cores() // jobs) if jobs > 1 else None, "stop": stop}
    progress = Progress(echo, plans.values())
    with locked_folder(out), closing(progress.bar), stop_on_signals(stop):
        chapters = []
        for notebook in there:
            if notebook.name not in plans:
                with suppress(UsageError):  # meant for the chosen notebooks, a value need not suit the others
                    chapters += filter(None, [_unchanged(context.plan(notebook), context)])
        titles |= {chapter.name: chapter.title for chapter in chapters}
        ended = _execute_all(plans, there, context, jobs=jobs, force=force, progress=progress, **limits)
        with closing(ended):  # whatever breaks off here leaves no kernel
            for chapter in ended:
                # The page as soon as the notebook has ended; its neighbours are those expected.
                chapters.append(write_page(chapter, context, sorted(titles.items())))
                progress.done(chapters[-1])
                context.state.save()
        chapters.sort(key=lambda chapter: chapter.name)
        pages = [(chapter.name, chapter.title) for chapter in chapters if chapter.html]
        chapters = [write_page(chapter, context, pages) for chapter in chapters]
        ran = any(chapter.status in (EXECUTED, FAILED, INTERRUPTED) for chapter in chapters)
        if ran or not context.state.call:
            took = round(time.monotonic() - began, 1)
            context.state.call = {"started": started, "seconds": took, "threads": limits["threads"]}
        asked = stop.reason if stop.reason in EXIT_CODES else None
        report = Report(out, tuple(chapters), context.state.call["seconds"], asked)
        there = {chapter.name for chapter in chapters}
        write_front(report, context, [each for each in options.items() if each[1] and each[0] not in there])
        context.state.save()
    counts = Counter(chapter.status for chapter in chapters)
    statuses = ", ".join(f"{count} {status}" for status, count in counts.items())
    progress.echo(f"The report is in {report.index}: {statuses}.")
    if report.exit_code:
        progress.echo("Exit code {}: {}.".format(*report.exit))
    return report


def _execute_all(
    plans: Mapping[str, Plan], there, context: Context, *, jobs, force, stop: Stop, progress, **limits
) -> Iterator[Chapter]:
    """Run notebooks, each in a thread and as soon as those it waits for have ended; each chapter as it ends."""
    order, ready, running, failed, announced = execution_order(there), [], {}, [], False
    with ThreadPoolExecutor(jobs) as executor:
        try:
            while order.is_active():
                ready = sorted([*ready, *order.get_ready()])
                if ready and (ready[0] not in plans or len(running) < jobs):
                    plan = plans.get(name := ready.pop(0))
                    if plan is None:
                        order.done(name)
                    elif chapter := _without_running(plan, context, force=force, stop=stop, failed=failed):
                        order.done(name)
                        yield chapter
                    else:
                        execution = _execution(plan, context, progress, stop=stop, **limits)
                        running[executor.submit(execution.run)] = plan, execution
                    continue
                done, _ = wait(running, timeout=TICK, return_when=FIRST_COMPLETED)
                if stop.reason and not announced:
                    announced = True
                    progress.echo(f"Ending the notebooks ({stop.reason}); what they got done is kept ...")
                for _, execution in running.values():
                    execution.watch()
                for future in done:
                    plan, execution = running.pop(future)
                    with writing(context.out):  # an OSError: no room for temporary files, too many open ones
                        chapter = _ended(plan, context, execution, failure=future.result())
                    failed += [plan] if chapter.status == FAILED else []
                    if chapter.kind == "disk":  # nor could the others be written
                        stop.ask("an executed notebook could not be written")
                    order.done(plan.name)
                    yield chapter
        finally:
            # After a second Ctrl-C or an error of the report itself: no kernel is left.
            while running:
                for _, execution in running.values():
                    execution.kill()
                for future in wait(running, timeout=TICK).done:
                    del running[future]


def _execution(plan: Plan, context: Context, progress: Progress, **limits):
    from dmlkit.report.execute import Execution  # imports papermill and pandas

    hooks = {"on_line": partial(progress.line, plan.name), "on_cell": partial(progress.cell, plan.name)}
    target = context.executed(plan)
    return Execution(plan.notebook.path, target, plan.values, run_folder=context.runs, **hooks, **limits)


def _ended(plan: Plan, context: Context, execution, failure) -> Chapter:
    """The chapter of a notebook that was executed, and its stamp where nothing failed."""
    if failure is None:
        write_stamp(execution.target, execution.about | {"inputs": plan.inputs})
        return _chapter(plan, context, EXECUTED, notebook=execution.target, **execution.about)
    about = {} if failure.kind == "disk" else execution.about | {"notebook": execution.target}
    status = INTERRUPTED if failure.kind == "interrupted" else FAILED
    return _chapter(plan, context, status, reason=failure.message, kind=failure.kind, **about)


def _without_running(plan: Plan, context: Context, *, force: bool, stop: Stop, failed) -> Chapter | None:
    """The chapter of a notebook that need not or cannot run; None where it is to run."""
    if plan.reason:
        for path in (context.executed(plan), context.out / f"{plan.name}.html"):
            path.unlink(missing_ok=True)  # from when it was applicable
        return _chapter(plan, context, NOT_APPLICABLE, reason=plan.reason)
    if not force and (chapter := _unchanged(plan, context)):
        return chapter
    if stop.reason:
        reason = f"the report ended before its turn came ({stop.reason})"
        return _chapter(plan, context, NOT_RUN, reason=reason)
    # An experiment that a failed notebook should have trained is not trained in another one.
    mine = experiments_of(plan, context) if failed else {}
    for other in failed:
        for name in mine.keys() & experiments_of(other, context).keys():
            if context.run(mine[name]) is None:
                reason = f"it needs {name}, which {other.name} did not train"
                return _chapter(plan, context, NOT_RUN, reason=reason)
    return None


def _unchanged(plan: Plan, context: Context) -> Chapter | None:
    """The chapter as an earlier call left it, where executing it again would change nothing."""
    if plan.reason or context.changes(plan):
        return None
    target = context.executed(plan)
    about = {name: read_stamp(target)[name] for name in ("executed", "seconds", "runs")}
    return _chapter(plan, context, UNCHANGED, notebook=target, **about)


def _chapter(plan: Plan, context: Context, status: str, *, notebook: Path | None = None, **about) -> Chapter:
    about["html"] = context.out / f"{plan.name}.html" if notebook else None
    return Chapter(plan.name, plan.notebook.title, plan.notebook.question, status, notebook=notebook, **about)


class Progress:
    """A line a notebook; in a terminal also a bar over all cells, with what a notebook printed last."""

    def __init__(self, echo: Callable[[str], None], plans: Collection[Plan]):
        self._echo, self.width = echo, max((len(plan.name) for plan in plans), default=0)
        # One more than a notebook has: the cell that gives its parameters their values.
        self.cells = {plan.name: 0 if plan.reason else plan.notebook.cells + 1 for plan in plans}
        form = {"bar_format": "{percentage:.0f}% {bar:20} {elapsed} {desc}", "dynamic_ncols": True}
        self.bar = tqdm(total=sum(self.cells.values()), disable=not sys.stderr.isatty(), leave=False, **form)

    def echo(self, line: str) -> None:
        """Write a line above the bar; nothing more once that failed: a report outlives its pipe or terminal."""
        try:
            if self._echo:
                with tqdm.external_write_mode(file=sys.stderr):
                    self._echo(line)
                    sys.stdout.flush()
        except (OSError, ValueError):  # a ValueError where the file was closed
            self._echo = None
            with suppress(OSError, ValueError):  # else Python fails the command when it flushes at its end
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    def line(self, name: str, line: str) -> None:
        """A notebook printed a line. Called from the notebook's own thread, as `cell` is."""
        self.bar.set_description_str(f"{name}  {line[:60]}")

    def cell(self, name: str) -> None:
        """A cell of a notebook is done."""
        self.cells[name] -= 1
        self.bar.update()

    def done(self, chapter: Chapter) -> None:
        """Show how a notebook ended, with the last lines of an error and the file that holds all of it."""
        self.bar.update(max(0, self.cells[chapter.name]))
        line = f"{chapter.name:{self.width}}  {chapter.status}"
        # Not of an unchanged one, whose time was of another call.
        line += f", {duration(chapter.seconds)}" if chapter.seconds and chapter.status != UNCHANGED else ""
        self.echo(f"{line}: {chapter.reason}" if chapter.reason and not chapter.kind else line)
        if chapter.kind:
            for text in (chapter.notebook, *chapter.reason.splitlines()[-LAST_LINES:]):
                self.echo(f"  {text}")
