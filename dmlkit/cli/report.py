"""`dmlkit report`."""

from __future__ import annotations

import sys

import click

from dmlkit.cli.runs import FOLDER, deterministic_option, profile_option, resumable, seed_option
from dmlkit.errors import UsageError
from dmlkit.paths import report_name, reports


@click.command()
@click.option("--data", help="Folder of the data set; the generated one where none is named.")
@profile_option
@click.option("--out", type=FOLDER, help="Folder of the report; by default below HOME/reports.")
@click.option(
    "-p", "--parameter", nargs=2, multiple=True, metavar="NAME VALUE", help="A notebook's parameter."
)
@click.option("--params", type=FOLDER, metavar="FILE.yaml", help="Parameters from a file; -p wins over it.")
@click.option("--notebook", multiple=True, metavar="NAME", help="Only this notebook; repeatable.")
@click.option("--beyond", is_flag=True, help="Also train what is beyond the ladder: -p beyond true.")
@click.option("--force", is_flag=True, help="Execute notebooks even where nothing changed.")
@click.option("--jobs", default=1, help="Notebooks at a time, each with its share of the cores.")
@click.option("--time-limit", metavar="TIME", help="How long a notebook may take: 90s, 45m, 2h.")
@seed_option
@click.option("--seeds", default=1, help="How many seeds, from --seed on, the ladder is trained under.")
@deterministic_option
@click.option("--help-parameters", is_flag=True, help="List the notebooks' parameters, and end.")
@click.option("--dry-run", is_flag=True, help="Show what would be executed and trained; do none of it.")
def report(parameter, params, notebook, beyond, help_parameters, dry_run, **options) -> None:
    """Execute the notebooks on a data set, and render them with an index page.

    HOME is the folder that DMLKIT_HOME names, else the checkout, else the current folder.
    """
    from dmlkit.report import build_report, cache, describe_plan, parameters, plan

    names = notebook or None
    if help_parameters:
        chosen = plan.find_notebooks(plan.notebooks_folder(), names)
        click.echo(parameters.describe_parameters({each.name: each.parameters for each in chosen}))
        return
    by_hand: dict[str, str] = {}
    for name, value in [*parameter, *[("beyond", "true")] * beyond]:
        if name in by_hand:
            raise UsageError(f"The parameter {name!r} is given twice, as {by_hand[name]!r} and as {value!r}.")
        by_hand[name] = value
    from_file = parameters.read_parameter_file(params) if params else {}
    try:
        plan.check_arguments(None, names, from_file)  # here, where the file is known
    except UsageError as error:
        raise UsageError(f"{params}: {error}" if params else str(error)) from None
    options |= {"parameters": from_file | by_hand, "notebooks": names}
    if options["out"] is None:
        options["out"] = reports() / report_name(options["data"], options["profile"])
        if options["data"] is not None:
            cache.check_same_data(options["out"], options["data"])
    if dry_run:
        click.echo(describe_plan(**options))
        return
    with resumable():  # before the first notebook, or a second interruption
        made = build_report(**options)
    sys.exit(made.exit_code)
