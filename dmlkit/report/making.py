"""One chapter: whether it stands, why it cannot run, or what became of running it."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from dmlkit.errors import UsageError
from dmlkit.report.chapters import (
    EXECUTED,
    FAILED,
    INTERRUPTED,
    NOT_APPLICABLE,
    NOT_RUN,
    UNCHANGED,
    Chapter,
    Failure,
    Plan,
)
from dmlkit.report.kernels.stopping import Stop
from dmlkit.report.resuming.ground import Ground
from dmlkit.report.resuming.stamps import looked_at, made_of, stamp_of, standing_stamp, write_stamp
from dmlkit.report.resuming.standing import written
from dmlkit.report.showing import Lines

UNWRITABLE = "an executed notebook could not be written"


@dataclass
class Maker:
    """Makes the chapters of one report.

    Args:
        ground: The data and the conditions.
        again: Names of notebooks to execute although they stand.
        threads: How many each kernel gets; as many as it likes where None.
        limit: Seconds a notebook may take; as many as it likes where None.
        stop: Ends the kernels when asked.
        show: Is told what goes on.
    """

    ground: Ground
    again: Collection[str]
    threads: int | None
    limit: float | None
    stop: Stop
    show: Lines
    failed: list[Plan] = field(default_factory=list)
    told: bool = False

    def all_standing(self, plans: Sequence[Plan]) -> list[Chapter]:
        """The chapters that stand as an earlier call left them."""
        return [chapter for plan in plans if (chapter := self.standing(plan))]

    def standing(self, plan: Plan) -> Chapter | None:
        """The chapter as an earlier call left it, where executing it again would change nothing."""
        target = self._target(plan)
        told = standing_stamp(plan, target, data=self.ground.known.mark, runs=self._runs)
        return told and self._chapter(
            plan, UNCHANGED, seconds=told["seconds"], executed=told["executed"], notebook=target
        )

    def waiting_on(self) -> None:
        """Called by the main thread while notebooks run: it has time for what the end will need."""
        if not self.stop.why:
            _ = self.ground.walk  # imports TensorFlow, once
        if self.stop.why and not self.told:
            self.told = True
            self.show.ending(self.stop.why)

    def settle(self, plan: Plan) -> Chapter | None:
        """What became of a notebook whose turn has come and that need not or cannot run; None where it is to run."""
        name = plan.notebook.name
        if plan.reason:
            for path in (self._target(plan), self._page(plan)):  # from when it was applicable
                path.unlink(missing_ok=True)
            return self._chapter(plan, NOT_APPLICABLE, reason=plan.reason)
        if name not in self.again and (chapter := self.standing(plan)):
            return chapter
        if self.stop.why:
            return self._chapter(
                plan, NOT_RUN, reason=f"the report ended before its turn came ({self.stop.why})"
            )
        if self.failed and (reason := self.ground.lacks(plan, self.failed)):
            return self._chapter(plan, NOT_RUN, reason=reason)
        self.show.begin(plan)
        return None

    def run(self, plan: Plan) -> Chapter:
        """Execute a notebook, and stamp it where nothing failed. Called from a thread of its own."""
        from dmlkit.report.kernels.execution import execute

        name, target = plan.notebook.name, self._target(plan)
        executed, since = datetime.now(UTC).isoformat(timespec="seconds"), time.monotonic()
        with written(self.ground.out):
            folder = tempfile.TemporaryDirectory(prefix="dmlkit-", ignore_cleanup_errors=True)
        with folder, _executing(name):
            noted = Path(folder.name) / "runs"
            failure = execute(
                plan.notebook.path,
                target,
                plan.values,
                said=lambda line: self.show.said(name, line),
                moved=lambda: self.show.moved(name),
                threads=self.threads,
                seconds=self.limit,
                stop=self.stop,
                looked_at=noted,
            )
            runs = looked_at(noted, self._runs)
        seconds = round(time.monotonic() - since, 1)
        if failure is None:
            told = {
                "stamp": stamp_of(plan, data=self.ground.known.mark),
                "made_of": made_of(plan, data=self.ground.known.mark),
                "runs": runs,
                "executed": executed,
                "seconds": seconds,
            }
            with written(self.ground.out):
                write_stamp(target, told)
        return self._ended(plan, failure, executed=executed, seconds=seconds)

    def _ended(self, plan: Plan, failure: Failure | None, *, executed: str, seconds: float) -> Chapter:
        if failure is None:
            return self._chapter(
                plan, EXECUTED, executed=executed, seconds=seconds, notebook=self._target(plan)
            )
        if failure.kind == "disk":  # nor could the others be written
            self.stop.ask(UNWRITABLE)
            return self._chapter(plan, FAILED, reason=failure.message, failure=failure)
        interrupted = failure.kind == "interrupted"
        if not interrupted:
            self.failed.append(plan)
        return self._chapter(
            plan,
            INTERRUPTED if interrupted else FAILED,
            reason=failure.message,
            executed=executed,
            seconds=seconds,
            notebook=self._target(plan),
            failure=failure,
        )

    def _chapter(self, plan: Plan, status: str, *, notebook: Path | None = None, **more) -> Chapter:
        about = plan.notebook
        return Chapter(
            name=about.name,
            title=about.title,
            question=about.question,
            status=status,
            notebook=notebook,
            html=self._page(plan) if notebook else None,
            **more,
        )

    def _target(self, plan: Plan) -> Path:
        return self.ground.out / "notebooks" / plan.notebook.path.name

    def _page(self, plan: Plan) -> Path:
        return self.ground.out / f"{plan.notebook.name}.html"

    @property
    def _runs(self) -> Path:
        return self.ground.out / "runs"


@contextmanager
def _executing(name: str) -> Iterator[None]:
    # `execute` tells a full disk itself: this is something else, such as too many open files.
    try:
        yield
    except OSError as error:
        raise UsageError(f"The notebook {name} could not be executed: {error}.") from error


def fail_if_full(chapters: Sequence[Chapter]) -> None:
    """Hold the end of a report against a full disk: there is no executed notebook to show.

    Raises:
        UsageError: An executed notebook could not be written.
    """
    for chapter in chapters:
        if chapter.failure and chapter.failure.kind == "disk":
            raise UsageError(chapter.failure.message)
