"""`dmlkit data import`."""

from __future__ import annotations

import click

from dmlkit.data import importing
from dmlkit.text import counted

# Text, so that an address that is none of a local file can be told from one.
LOCAL = click.Path()


def _epilog() -> str:
    """What a source may be, in the words of the package that reads it."""
    _, _, layouts = (importing.__doc__ or "").partition("\n\n")
    return layouts


@click.command("import", epilog=_epilog(), short_help="Make a data set of your own features.")
@click.argument("sources", nargs=-1, required=True, type=LOCAL, metavar="SOURCE...")
@click.option("--out", required=True, type=LOCAL, help="Folder to make; it appears when it is finished.")
@click.option(
    "--labels", type=LOCAL, metavar="FILE", help="CSV: id, and labels, split, text or several of them."
)
@click.option("--classes", type=LOCAL, metavar="FILE", help="Names: a vocabulary's CSV, or one a line.")
@click.option(
    "--num-classes", type=click.IntRange(min=1), metavar="N", help="[default: as named, or as labels tell]"
)
@click.option("--name", help="What reports call the data set.  [default: the folder's]")
@click.option(
    "--split",
    default="train=0.8,tuning=0.1,validate=0.1",
    show_default=True,
    metavar="SHARES",
    help="Of the parts, by a hash of the id. What a source says of a video's `split` goes first.",
)
@click.option(
    "--level", metavar="LEVEL", help="frame, or video: the mean of the frames.  [default: as the arrays are]"
)
@click.option(
    "--coding", metavar="CODING", help="byte, as YouTube-8M, or float.  [default: byte at frame level]"
)
@click.option("--modalities", metavar="A,B", help="Those to take.  [default: all]")
@click.option(
    "--missing",
    default="refuse",
    show_default=True,
    metavar="RULE",
    help="For a video without a modality that others have: refuse, or silence.",
)
@click.option(
    "--frames-apart",
    type=click.IntRange(min=0),
    metavar="N",
    default=2,
    show_default=True,
    help="Cut a video's modalities to the shorter where they differ by at most so many frames.",
)
@click.option(
    "--records-per-shard",
    type=click.IntRange(min=1),
    metavar="N",
    default=256,
    show_default=True,
    help="Videos a file.",
)
def import_(sources: tuple[str, ...], out: str, modalities: str | None, **settings) -> None:
    """Make a data set of your own features, in YouTube-8M's layout, so that it can be trained and predicted on.

    \b
    dmlkit data import features.npz --out mine
    dmlkit data import folder/ --labels labels.csv --out mine
    dmlkit data import clips/ --split test=1 --num-classes 3862 --out mine

    The last only to predict on. What a SOURCE may be stands below. Where something is wrong with one, nothing is
    written, and it ends with 3; with 2 where it was called wrongly.
    """  # noqa: D301
    from dmlkit.data import import_features

    named = None if modalities is None else [name.strip() for name in modalities.split(",")]
    done = import_features(sources, out, modalities=named, progress=True, **settings)
    parts = ", ".join(f"{part} {count:,}" for part, count in done.videos.items())
    click.echo(f"The data set is in {done.folder}: {counted(sum(done.videos.values()), 'video')} ({parts}).")
    for note in done.notes:
        click.echo(f"  {note}")
