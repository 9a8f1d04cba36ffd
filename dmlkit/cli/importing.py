"""`dmlkit data import`."""

from __future__ import annotations

import click

from dmlkit.data import importing

# Text, so that an address that is none of a local file can be told from one.
LOCAL = click.Path()


def _epilog() -> str:
    """What a source may be, in the words of the package that reads it; its lines stay as they are."""
    _, _, layouts = (importing.__doc__ or "").partition("\n\n")
    return "\n\n".join(f"\b\n{paragraph}" for paragraph in layouts.split("\n\n"))


@click.command("import", epilog=_epilog())
@click.argument("sources", nargs=-1, required=True, type=LOCAL, metavar="SOURCE...")
@click.option("--out", required=True, type=LOCAL, help="Folder to make; it appears when it is finished.")
@click.option("--labels", type=LOCAL, metavar="FILE", help="CSV: id and labels, split, or both.")
@click.option("--classes", type=LOCAL, metavar="FILE", help="Names: a vocabulary's CSV, or one a line.")
@click.option("--num-classes", type=click.IntRange(min=1), help="[default: as named, or as labels tell]")
@click.option("--name", help="What reports call the data set.")
@click.option(
    "--split",
    default="train=0.8,tuning=0.1,validate=0.1",
    show_default=True,
    help="Shares, by a hash of the id. A column `split` goes first.",
)
@click.option("--level", help="frame, or video: the mean of the frames.  [default: as the arrays are]")
@click.option("--coding", help="byte, as YouTube-8M, or float.  [default: byte at frame level]")
@click.option("--modalities", metavar="A,B", help="Those to take.  [default: all]")
@click.option(
    "--missing", default="refuse", show_default=True, help="A video without a modality: refuse or silence."
)
@click.option(
    "--frames-apart",
    type=click.IntRange(min=0),
    default=2,
    show_default=True,
    help="Modalities that differ by so many frames are cut to the shorter.",
)
@click.option("--records-per-shard", type=click.IntRange(min=1), default=256, show_default=True)
def import_(sources: tuple[str, ...], out: str, modalities: str | None, **settings) -> None:
    """Make a data set at --out of your own features, in YouTube-8M's layout.

    Below is what a SOURCE may be.
    """
    from dmlkit.data import import_features

    named = None if modalities is None else [name.strip() for name in modalities.split(",")]
    done = import_features(sources, out, modalities=named, progress=True, **settings)
    parts = ", ".join(f"{part} {count:,}" for part, count in done.videos.items())
    click.echo(f"The data set is in {done.folder}: {sum(done.videos.values()):,} videos ({parts}).")
    for note in done.notes:
        click.echo(f"  {note}")
