"""What several commands share: options, and how an interruption ends."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

FOLDER = click.Path(path_type=Path)
# What numpy, Keras and TensorFlow all take.
SEED = click.IntRange(0, 2**32 - 1)

# Data may lie on a remote file system (gs://...), whose paths pathlib would mangle: they stay text.
data_option = click.option("--data", required=True, help="Folder of the data set, or of bare shards.")
profile_option = click.option(
    "--profile", default="demo", show_default=True, help="Sizes and budget: smoke, demo, full, paper."
)
seed_option = click.option(
    "--seed", type=SEED, default=0, show_default=True, help="Of weights, order and dropout."
)
deterministic_option = click.option(
    "--deterministic", is_flag=True, help="The same numbers for the same seed and number of threads."
)
on_fault_option = click.option(
    "--on-fault",
    default="raise",
    show_default=True,
    metavar="POLICY",
    help="At a faulty record: raise, or 'skip N' to leave out at most N of them.",
)


@contextmanager
def resumable() -> Iterator[None]:
    """Around what Ctrl-C interrupts without loss: the message says so, and the exit code is 130."""
    try:
        yield
    except KeyboardInterrupt:
        click.echo("dmlkit: interrupted; the same command continues where it stopped.", err=True)
        sys.exit(130)
