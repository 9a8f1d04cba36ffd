"""The report, from the notebooks' files to the index page."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from dmlkit.errors import choose
from dmlkit.paths import generated_data, home
from dmlkit.profiles import PROFILES
from dmlkit.report.chapters import EXIT_CODES, Chapter, Plan, Report
from dmlkit.report.interrupting import signals_heeded
from dmlkit.report.kernels.stopping import Stop
from dmlkit.report.limits import check_jobs, check_seed, seconds_of, share_of_threads
from dmlkit.report.making import Maker, fail_if_full
from dmlkit.report.pages.front import write_front
from dmlkit.report.pages.page import Pages, expected_pages
from dmlkit.report.planning.notebooks import find_notebooks, notebooks_folder
from dmlkit.report.planning.plans import check_parameters
from dmlkit.report.resuming.ground import Ground
from dmlkit.report.resuming.standing import sole_report
from dmlkit.report.scheduling import most_side_by_side, side_by_side, waits_of
from dmlkit.report.showing import Voice, closing_lines, shower


def build_report(
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
    echo: Callable[[str], None] = print,
) -> Report:
    """Execute the notebooks on a data set, render them, and write the index page and `results.json`.

    A notebook that was executed before is left as it is, unless its source, its values, the data, this package or the
    runs it looked at have changed since. One that fails keeps what it got done; those that can do without it go on.
    Ctrl-C and SIGTERM end the notebooks and keep what there is: the same call goes on from there.

    Args:
        data: The folder of the data set; the generated one where None, made where it is missing.
        profile: The conditions, a name in `PROFILES`.
        out: The folder of the report.
        parameters: Values for the notebooks' own parameters, typed or as text.
        seed: Of every training.
        deterministic: The same numbers for the same seed and number of threads.
        notebooks: Names of some of the study's notebooks; all where None. The others stay in the report where they
            stand as they would be executed now.
        folder: Where the notebooks are; those of this package where None.
        force: Execute the notebooks even where nothing changed.
        jobs: How many notebooks run at a time, each with its share of the threads.
        time_limit: How long a notebook may take, such as `45m`; as long as it likes where None.
        echo: Says a line.

    Returns:
        What became of each chapter, and the exit code of the command.

    Raises:
        UsageError: An unknown profile, notebook or parameter, a wrong value or seed, notebooks that wait for each
            other, or a folder that cannot be written or is another report's at the moment.
        DataError: The data set is missing or damaged.
    """
    say = Voice(echo)
    since, started = time.monotonic(), datetime.now(UTC).isoformat(timespec="seconds")
    choose(PROFILES, profile, what="profile")
    check_seed(seed)
    check_jobs(jobs)
    limit = None if time_limit is None else seconds_of(time_limit)
    folder = notebooks_folder() if folder is None else Path(folder)
    there, chosen = find_notebooks(folder), find_notebooks(folder, notebooks)
    waits = waits_of(there, folder=folder)
    check_parameters(chosen, parameters or {})
    out, stop = Path(out), Stop()
    with sole_report(out):
        ground = Ground(
            default_data() if data is None else data,
            out=out,
            profile=profile,
            seed=seed,
            deterministic=deterministic,
            parameters=parameters or {},
        )
        plans = ground.plans(chosen)
        threads = share_of_threads(min(jobs, most_side_by_side(plans, waits)))
        again = {notebook.name for notebook in chosen} if force else set()
        with closing(shower(say, plans)) as show, signals_heeded(stop):
            maker = Maker(ground, again=again, threads=threads, limit=limit, stop=stop, show=show)
            others = maker.all_standing(ground.possible([each for each in there if each not in chosen]))
            pages = Pages(ground, among=expected_pages(plans, others))
            chapters = _in_turn(plans, maker=maker, pages=pages, waits=waits, jobs=jobs)
            chapters = sorted([*chapters, *others], key=lambda chapter: chapter.name)
            chapters = pages.write_all(chapters)
            ended = stop.why if stop.why in EXIT_CODES else None
            seconds = write_front(
                chapters,
                ground=ground,
                started=started,
                seconds=time.monotonic() - since,
                threads=threads,
                ended=ended,
            )
            ground.keep()
    fail_if_full(chapters)
    report = Report(out=out, chapters=tuple(chapters), seconds=seconds, ended=ended)
    for line in closing_lines(report):
        say(line)
    return report


def _in_turn(
    plans: Sequence[Plan], *, maker: Maker, pages: Pages, waits: Mapping[str, frozenset[str]], jobs: int
) -> list[Chapter]:
    """Make the chapters, and the page of each as soon as it ends."""
    chapters = []
    ended = side_by_side(
        plans,
        waits=waits,
        jobs=jobs,
        settle=maker.settle,
        run=maker.run,
        stop=maker.stop,
        waiting_on=maker.waiting_on,
    )
    with closing(ended):
        for chapter in ended:
            chapter = pages.write(chapter)
            maker.show.done(chapter)
            maker.ground.keep()
            chapters.append(chapter)
    return chapters


def default_data() -> Path:
    """The generated data set: of the checkout where one works in it, else of the current folder."""
    return generated_data() if Path.cwd().is_relative_to(home()) else Path("data") / "generated"
