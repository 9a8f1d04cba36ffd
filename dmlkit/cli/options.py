"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path

import click

from dmlkit.profiles import PROFILES

FOLDER = click.Path(path_type=Path)

# Data may lie on a remote file system (gs://...), whose paths pathlib would mangle: they stay text.
data_option = click.option("--data", required=True, help="Folder of the data set, or of bare shards.")
profile_option = click.option(
    "--profile", default="demo", show_default=True, help=f"Sizes and budget: {', '.join(PROFILES)}."
)
seed_option = click.option("--seed", default=0, show_default=True, help="Of weights, order and dropout.")
deterministic_option = click.option(
    "--deterministic", is_flag=True, help="The same numbers for the same seed and number of threads."
)
