"""`dmlkit report`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from dmlkit.cli.options import FOLDER, deterministic_option, goes_on_later, profile_option, seed_option
from dmlkit.errors import choose
from dmlkit.paths import report_name
from dmlkit.profiles import PROFILES


@click.command()
@click.option("--data", help="Folder of the data set; the generated one where none is named.")
@profile_option
@click.option("--out", type=FOLDER, help="Folder of the report; below reports/ where none is named.")
@click.option(
    "-p", "--parameter", nargs=2, multiple=True, metavar="NAME VALUE", help="A notebook's parameter."
)
@click.option("--params", type=FOLDER, metavar="FILE.yaml", help="Parameters from a file; -p wins over it.")
@click.option(
    "--notebook", multiple=True, metavar="NAME", help="Only this notebook; may be given several times."
)
@click.option("--beyond", is_flag=True, help="Also train what is beyond the ladder: -p beyond true.")
@click.option("--force", is_flag=True, help="Execute notebooks even where nothing changed.")
@click.option(
    "--jobs", default=1, show_default=True, help="Notebooks at a time, each with its share of the cores."
)
@click.option("--time-limit", metavar="TIME", help="How long a notebook may take: 90s, 45m, 2h.")
@seed_option
@deterministic_option
@click.option("--help-parameters", is_flag=True, help="List the notebooks' parameters, and end.")
@click.option("--dry-run", is_flag=True, help="Tell what would be executed and trained; do none of it.")
def report(parameter, params, notebook, beyond, help_parameters, dry_run, **conditions) -> None:
    """Execute the notebooks on a data set, and render them with an index page."""
    choose(PROFILES, conditions["profile"], what="profile")
    from dmlkit.report.planning.notebooks import find_notebooks, notebooks_folder
    from dmlkit.report.planning.plans import check_parameters, gather
    from dmlkit.report.resuming.standing import check_same_data

    chosen = find_notebooks(notebooks_folder(), notebook or None)
    if help_parameters:
        from dmlkit.report.planning.parameter_help import describe_parameters

        click.echo(describe_parameters(chosen))
        return
    given = gather([*parameter, *([("beyond", "true")] if beyond else [])], params)
    # Here already, where it is known in which line of a file a value stands.
    check_parameters(chosen, given.values, origins=given.origins)
    asked = conditions | {"parameters": given.values, "notebooks": notebook or None}
    if asked["out"] is None:
        asked["out"] = Path("reports") / report_name(asked["data"], asked["profile"])
        if asked["data"] is not None:
            check_same_data(asked["out"], asked["data"])
    if dry_run:
        from dmlkit.report.planning.dry_run import describe_plan

        click.echo(describe_plan(**asked))
    else:
        _make(asked)


def _make(asked: dict) -> None:
    from dmlkit.report import build_report

    with goes_on_later():  # before a notebook ran, or a second one: without ceremony
        made = build_report(**asked)
    sys.exit(made.exit_code)
