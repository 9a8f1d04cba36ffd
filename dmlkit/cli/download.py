"""`dmlkit data download`."""

from __future__ import annotations

import click

from dmlkit.cli.options import FOLDER, goes_on_later

# Written out, and compared with its table by a test: the tables' rooms are entered by the command that needs them.
SPLITS = ("train", "validate", "test")


@click.command()
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
    "--mirror", default="us", show_default=True, metavar="NAME|URL", help="us, eu, asia, or an address."
)
@click.option(
    "--plans", metavar="URL", help="Address of the lists of files, where they are not at the mirror."
)
@click.option("--jobs", default=4, show_default=True, type=click.IntRange(1, 64), help="Files at a time.")
@click.option("--verify", is_flag=True, help="Hash every file anew, also those found right before.")
@click.option("--replace", is_flag=True, help="Replace files of a shard's name that never were right.")
@click.option("--any-size", is_flag=True, help="Begin also where the disk is too small for all.")
@click.option(
    "--retries",
    default=5,
    show_default=True,
    type=click.IntRange(min=0),
    help="Of a file, in a row without a new byte.",
)
@click.option(
    "--timeout",
    default=30.0,
    show_default=True,
    type=click.FloatRange(0, min_open=True),
    help="Seconds without an answer.",
)
def download(partition, out, retries, timeout, **asked) -> None:
    """Fetch a PARTITION of YouTube-8M into the folder OUT; every file is compared with its MD5.

    \b
    2/frame         2018, a vector a second: 1.53 TB
    2/video         2018, a vector a video: 31 GB
    1/frame_level   2017, the paper's; 1.71 TB, withdrawn in 2018
    1/video_level   2017, the paper's; 31 GB, withdrawn in 2018

    The names are those of YouTube-8M's own downloader (partition=2/frame/train shard=1,100), and so are the shares
    and the shards' names: what it fetched is recognised. The same command goes on where one stopped, and fetches
    only what is missing. It ends with 3 where any file is missing or wrong, and says which.
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
        f"All {done.files:,} files are whole and right in {done.path}; {done.fetched:,} of them are new."
    )
