"""The report, from the notebooks' files to the index page."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from dmlkit.data import open_or_generate
from dmlkit.errors import UsageError, choose
from dmlkit.profiles import PROFILES
from dmlkit.report.chapters import EXECUTED, FAILED, NOT_APPLICABLE, Chapter, Plan, Report
from dmlkit.report.execution import execute
from dmlkit.report.index import render_index
from dmlkit.report.notebooks import find_notebooks, notebooks_folder
from dmlkit.report.pages import Pages, write_page
from dmlkit.report.planning import check_parameters, plan, seen_from
from dmlkit.report.showing import Lines, shower
from dmlkit.report.summary import summarize, write_summary
from dmlkit.training import Walk

GENERATED = Path("data") / "generated"


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
    echo: Callable[[str], None] = print,
) -> Report:
    """Execute the notebooks on a data set, render them, and write the index page and `results.json`.

    A notebook that fails keeps what it got done; the others go on.

    Args:
        data: The folder of the data set; the generated one where None, made where it is missing.
        profile: The conditions, a name in `PROFILES`.
        out: The folder of the report.
        parameters: Values for the notebooks' own parameters, typed or as text.
        seed: Of every training.
        deterministic: The same numbers for the same seed and number of threads.
        notebooks: Names of some of the walk's notebooks; all where None.
        folder: Where the notebooks are; those of this package where None.
        echo: Says a line.

    Returns:
        What became of each chapter; `exit_code` is 0 where none failed.

    Raises:
        UsageError: An unknown profile, notebook or parameter, a wrong type, or a folder that cannot be written.
        DataError: The data set is missing or damaged.
    """
    since, started = time.monotonic(), datetime.now(UTC).isoformat(timespec="seconds")
    choose(PROFILES, profile, what="profile")
    found = find_notebooks(notebooks_folder() if folder is None else Path(folder), notebooks)
    parameters = dict(parameters or {})
    check_parameters(found, parameters)
    out = _make(Path(out))
    dataset = open_or_generate(GENERATED if data is None else data)
    walk = Walk(dataset, profile=profile, runs=out / "runs", seed=seed, deterministic=deterministic)
    given = parameters | {
        "data": seen_from(out / "notebooks", dataset.path),
        "profile": profile,
        "runs": seen_from(out / "notebooks", out / "runs"),
        "seed": seed,
        "deterministic": deterministic,
    }
    plans = plan(found, dataset=dataset, given=given)
    pages = Pages(
        out=out,
        notebooks=tuple(each.notebook for each in plans if each.reason is None),
        data=dataset.name,
        generated=dataset.generated,
        profile=profile,
        started=started,
    )
    show = shower(echo, plans)
    try:
        chapters = tuple(_chapter(each, pages=pages, show=show) for each in plans)
    finally:
        show.close()
    summary = summarize(walk, chapters, started=started, seconds=time.monotonic() - since)
    write_summary(out, summary)
    write_page(out / "index.html", render_index(summary, chapters))
    report = Report(out=out, chapters=chapters, seconds=summary["seconds"])
    echo(f"The report is in {report.index}")
    return report


def _make(out: Path) -> Path:
    try:
        for folder in (out / "notebooks", out / "runs"):
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"The report cannot be written to {out}: {error.strerror}. Name another folder with --out."
        ) from error
    return out


def _chapter(what: Plan, *, pages: Pages, show: Lines) -> Chapter:
    notebook = what.notebook
    told = {"name": notebook.name, "title": notebook.title, "question": notebook.question}
    if what.reason:
        chapter = Chapter(**told, status=NOT_APPLICABLE, reason=what.reason)
    else:
        show.begin(what)
        since = time.monotonic()
        target = pages.out / "notebooks" / notebook.path.name
        failure = execute(notebook.path, target, what.values, said=show.said, moved=show.moved)
        chapter = Chapter(
            **told,
            status=FAILED if failure else EXECUTED,
            reason=failure.message if failure else None,
            seconds=round(time.monotonic() - since, 1),
            html=pages.out / f"{notebook.name}.html",
            notebook=target,
            failure=failure,
        )
        write_page(chapter.html, pages.render(chapter))
    show.done(chapter)
    return chapter
