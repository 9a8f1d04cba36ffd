"""`dmlkit runs`."""

from __future__ import annotations

from pathlib import Path

import click

from dmlkit.cli.options import FOLDER
from dmlkit.errors import UsageError


@click.command()
@click.argument("folder", type=FOLDER, default=Path("reports"))
def runs(folder) -> None:
    """List the runs below a FOLDER (reports), the highest GAP first."""
    if not folder.is_dir():
        raise UsageError(f"There is no folder {folder}. Name the folder under which the runs are.")
    from dmlkit.runs import load_runs

    table = load_runs(folder)
    if table.empty:
        click.echo(f"There are no finished runs below {folder}.")
        return
    shown = table[["name", "gap", "gap_low", "gap_high", "map", "seconds", "profile", "seed", "data", "path"]]
    click.echo(shown.to_string(index=False, float_format=lambda value: f"{value:.4f}"))
