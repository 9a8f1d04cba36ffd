"""`dmlkit report`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from dmlkit.cli.options import FOLDER, deterministic_option, profile_option, seed_option
from dmlkit.errors import choose
from dmlkit.places import report_name
from dmlkit.profiles import PROFILES


@click.command()
@click.option("--data", help="Folder of the data set; the generated one where none is named.")
@profile_option
@click.option("--out", type=FOLDER, help="Folder of the report; below reports/ where none is named.")
@click.option(
    "-p", "--parameter", nargs=2, multiple=True, metavar="NAME VALUE", help="A notebook's parameter."
)
@click.option(
    "--notebook", multiple=True, metavar="NAME", help="Only this notebook; may be given several times."
)
@click.option("--force", is_flag=True, help="Execute notebooks even where nothing changed.")
@click.option(
    "--jobs", default=1, show_default=True, help="Notebooks at a time, each with its share of the cores."
)
@click.option("--time-limit", metavar="TIME", help="How long a notebook may take: 90s, 45m, 2h.")
@seed_option
@deterministic_option
def report(data, profile, out, parameter, notebook, force, jobs, time_limit, seed, deterministic) -> None:
    """Execute the notebooks on a data set, and render them with an index page."""
    choose(PROFILES, profile, what="profile")
    from dmlkit.report import build_report

    try:
        made = build_report(
            data=data,
            profile=profile,
            out=out or Path("reports") / report_name(data, profile),
            parameters=dict(parameter),
            seed=seed,
            deterministic=deterministic,
            notebooks=notebook or None,
            force=force,
            jobs=jobs,
            time_limit=time_limit,
        )
    except KeyboardInterrupt:  # before a notebook ran, or a second one: without ceremony
        click.echo("dmlkit: interrupted; the same command goes on where it stopped.", err=True)
        sys.exit(130)
    sys.exit(made.exit_code)
