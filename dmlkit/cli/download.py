"""`dmlkit data download`."""

from __future__ import annotations

import click

from dmlkit.cli.options import FOLDER, goes_on_later
from dmlkit.text import counted

# Written out, and compared with its table by a test: the tables' rooms are entered by the command that needs them.
SPLITS = ("train", "validate", "test")


@click.command(short_help="Fetch YouTube-8M, or a share of it; each file is compared with its MD5.")
@click.argument("partition")
@click.argument("out", type=FOLDER)
@click.option(
    "--split",
    "splits",
    multiple=True,
    type=click.Choice(SPLITS),
    help="Only this split; may be given several times.",
)
@click.option(
    "--shards",
    default="1/1",
    show_default=True,
    metavar="PART/PARTS",
    help="A share of the shards: 1/100 is the first of a hundred parts, 2/100 the second.",
)
@click.option(
    "--mirror",
    default="us",
    show_default=True,
    metavar="NAME|URL",
    help="us, eu, asia, or https://host/folder.",
)
@click.option(
    "--plans", metavar="URL", help="Address of the lists of files, where they are not at the mirror."
)
@click.option(
    "--jobs", default=4, show_default=True, type=click.IntRange(1, 64), metavar="N", help="Files at a time."
)
@click.option("--verify", is_flag=True, help="Hash every file anew, also those found right before.")
@click.option(
    "--replace",
    is_flag=True,
    help="Replace files that bear a shard's name and are not the plan's, also those not fetched by this command.",
)
@click.option("--any-size", is_flag=True, help="Begin also where the disk is too small for all.")
@click.option(
    "--retries",
    default=5,
    show_default=True,
    type=click.IntRange(min=0),
    metavar="N",
    help="Attempts more that may bring nothing of a file, in a row.",
)
@click.option(
    "--timeout",
    default=30.0,
    show_default=True,
    type=click.FloatRange(0, min_open=True),
    metavar="SECONDS",
    help="Without an answer, before another attempt.",
)
def download(partition, out, retries, timeout, **asked) -> None:
    """Fetch a PARTITION of YouTube-8M into the folder OUT; every file is compared with its MD5.

    \b
    2/frame         2018, a vector a second: 1.53 TB
    2/video         2018, a vector a video: 31 GB
    1/frame_level   2017, the paper's; 1.71 TB, withdrawn in 2018
    1/video_level   2017, the paper's; 31 GB, withdrawn in 2018

    The first hundredth of the training frames; how much that is, is told before it begins:

    \b
    dmlkit data download 2/frame yt8m --split train --shards 1/100

    The same command goes on where one stopped, and fetches only what is missing. Names of partitions, shares and
    files are those of YouTube-8M's own downloader, so that what that fetched is recognised.

    Ends with 0 where every file is there and right, 3 where any is missing or wrong (it says which), 2 where it was
    called wrongly or the disk is too small, 130 after Ctrl-C.
    """  # noqa: D301
    from dmlkit.data.downloading import TOLD, IncompleteDownload, Patience
    from dmlkit.data.downloading import download as fetch

    with goes_on_later():
        try:
            done = fetch(partition, out, patience=Patience(attempts=1 + retries, timeout=timeout), **asked)
        except IncompleteDownload as incomplete:
            if len(incomplete.missing) > TOLD:  # the message names these few
                for name, why in incomplete.missing.items():
                    click.echo(f"{name}: {why}", err=True)
            raise
    click.echo(
        f"Whole and right in {done.path}: {counted(done.files, 'file')}, of which {done.fetched:,} new."
    )
