"""`dmlkit data check`."""

from __future__ import annotations

import json
import sys

import click


@click.command(short_help="Read every record; say what is wrong, and what there is.")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    metavar="N",
    help="Processes.  [default: as many as the shards are worth]",
)
@click.option(
    "--faults",
    type=click.IntRange(min=0),
    default=20,
    show_default=True,
    metavar="N",
    help="Show so many faults of a data set in full; all are counted.",
)
@click.option("--json", "as_json", is_flag=True, help="Everything, every fault, for other programs.")
def check(paths, jobs, faults, as_json) -> None:
    """Read every record of the data sets, or single shards, at PATH...: checksums, contents, counts.

    Says what is wrong with which record of which file, at which byte; which layout and release it is; how many
    frames and labels a video has, and which classes occur. Memory: 8 bytes a video, to find ids that stand twice.

    A file cut exactly between two records is whole to look at. It is found where dataset.toml counts the records of
    each shard (data sets made by synthesize and import do), or by the hashes of `dmlkit data download --verify`.

    Ends with 0 where all is whole, 3 where anything is wrong, 2 where it was called wrongly.
    """
    from dmlkit.data.checking import check as check_paths

    report = check_paths(paths, jobs=jobs, keep=None if as_json else faults, progress=True)
    click.echo(json.dumps(report.to_record(), indent=2) if as_json else report.text(faults=faults))
    if not report.whole:
        sys.exit(3)
