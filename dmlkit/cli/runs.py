"""`dmlkit runs` and `dmlkit compare`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from dmlkit.cli.options import FOLDER
from dmlkit.cli.run_table import run_tables
from dmlkit.errors import UsageError, nearest
from dmlkit.experiments import EXPERIMENTS
from dmlkit.text import shorten


@click.command()
@click.argument("folder", type=FOLDER, default=Path("reports"))
@click.option("--experiment", metavar="NAME", help="Only the runs of this experiment.")
@click.option("--profile", metavar="NAME", help="Only the runs under this profile.")
@click.option("--json", "as_json", is_flag=True, help="Every column, for other programs.")
def runs(folder, experiment, profile, as_json) -> None:
    """List the runs below a FOLDER (reports), data set by data set, the highest GAP first."""
    if not folder.is_dir():
        raise UsageError(f"There is no folder {folder}. Name the folder under which the runs are.")
    from dmlkit.runs import find_runs, run_row, summarize_errors

    found = find_runs(folder)
    for line in summarize_errors(found.damaged):
        click.echo(f"dmlkit: {line}", err=True)
    rows = [run_row(run) | {"fingerprint": run.record["data"]["fingerprint"]} for run in found.runs]
    for column, name in (("name", experiment), ("profile", profile)):
        rows = _only(rows, column, name, folder)
    rows.sort(key=lambda row: -row["gap"])
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    elif rows:
        click.echo(run_tables(rows))
    else:
        click.echo(f"There are no finished runs below {folder}.")


def _only(rows: list[dict], column: str, name: str | None, folder: Path) -> list[dict]:
    if name is None or not rows:
        return rows
    kept = [row for row in rows if row[column] == name]
    if not kept:
        what = {"name": "of the experiment", "profile": "under the profile"}[column]
        raise UsageError(
            f"There are no runs {what} {name!r} below {folder}."
            f"{nearest(name, sorted({shorten(row[column]) for row in rows}))}"
        )
    return kept


@click.command()
@click.argument("paths", nargs=-1, type=FOLDER, metavar="A B")
@click.option(
    "--runs",
    "folder",
    type=FOLDER,
    default=Path("reports"),
    show_default=True,
    metavar="FOLDER",
    help="Where the runs of an experiment lie that is called by its name.",
)
@click.option("--profile", metavar="NAME", help="Only the runs of names under this profile.")
@click.option("--data", metavar="DIR", help="The data set of the runs: classes are shown by their names.")
@click.option("--classes", default=5, show_default=True, type=click.IntRange(min=0), help="Shown each way.")
@click.option(
    "--resamples", default=1000, show_default=True, type=click.IntRange(min=1), help="Draws of the videos."
)
@click.option("--json", "as_json", is_flag=True, help="Everything, every class, for other programs.")
def compare(paths, folder, profile, data, classes, resamples, as_json) -> None:
    """Compare run A with run B on the videos both have scored.

    A and B are names of experiments (attention), which mean all their finished runs below --runs, or folders: of
    one run, or of several runs of one experiment with different seeds. More than two (seed-*) are put together by
    experiment and profile, which must make two sides. Several seeds of a side are pooled.
    """
    from dmlkit.comparison import compare as compare_sides
    from dmlkit.comparison import runs_of_names, two_sides

    told = runs_of_names(paths, folder=folder, known=EXPERIMENTS, profile=profile)
    sides = two_sides(told.sides)
    for note in [*told.notes, *sides.notes]:
        click.echo(f"dmlkit: {note}", err=True)
    dataset = None
    if data is not None:
        from dmlkit.data import open_dataset

        dataset = open_dataset(data)
    comparison = compare_sides(sides.a, sides.b, dataset=dataset, resamples=resamples)
    if as_json:
        click.echo(json.dumps(comparison.to_record(), indent=2))
    else:
        click.echo(comparison.text(classes=classes))
