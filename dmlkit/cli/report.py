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
@seed_option
@deterministic_option
def report(data, profile, out, parameter, seed, deterministic) -> None:
    """Execute the notebooks on a data set, and render them with an index page."""
    choose(PROFILES, profile, what="profile")
    from dmlkit.report import build_report

    made = build_report(
        data=data,
        profile=profile,
        out=out or Path("reports") / report_name(data, profile),
        parameters=dict(parameter),
        seed=seed,
        deterministic=deterministic,
    )
    sys.exit(made.exit_code)
