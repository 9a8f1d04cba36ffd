"""`dmlkit data check`."""

from __future__ import annotations

import json
import sys

import click


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    metavar="N",
    help="Processes; as many as it is worth where none is named, at most the cores.",
)
@click.option(
    "--faults",
    type=click.IntRange(min=0),
    default=20,
    show_default=True,
    metavar="N",
    help="Faults of a data set that are shown in full; all are counted.",
)
@click.option("--json", "as_json", is_flag=True, help="Everything, every fault, for other programs.")
def check(paths, jobs, faults, as_json) -> None:
    """Read every record of the data sets or single shards at PATH...: checksums, contents, counts.

    Says what is wrong with which record of which file, at which byte; which layout and release it is; frames and
    labels a video, and which classes occur. Ids that stand twice are found by 8 bytes of memory a video.

    A file cut exactly between two records is a valid one: only the [counts] of a dataset.toml tell (or a download's
    hashes). Exit code: 0 where all is whole, 3 where something is wrong.
    """
    from dmlkit.data.checking import check as check_paths

    report = check_paths(paths, jobs=jobs, keep=None if as_json else faults, progress=True)
    click.echo(json.dumps(report.to_record(), indent=2) if as_json else report.text(faults=faults))
    if not report.whole:
        sys.exit(3)
