"""`dmlkit data`."""

from __future__ import annotations

import click

from dmlkit.cli.check import check
from dmlkit.cli.download import download
from dmlkit.cli.importing import import_
from dmlkit.cli.options import FOLDER, SEED
from dmlkit.text import counted

AT_LEAST_ONE = click.IntRange(min=1)


@click.group()
def data() -> None:
    """Look at data sets, check that they are whole, generate one, fetch one, import your own."""


data.add_command(check)
data.add_command(download)
data.add_command(import_)


@data.command(short_help="Generate a data set in YouTube-8M's format.")
@click.argument("out", type=FOLDER)
@click.option("--seed", type=SEED, default=0, show_default=True, help="The same bytes for the same seed.")
@click.option("--full", is_flag=True, help="1,024 + 128 dimensions and up to 300 frames.")
@click.option(
    "--train",
    "train_videos",
    type=AT_LEAST_ONE,
    default=2000,
    show_default=True,
    metavar="N",
    help="Videos to train on.",
)
@click.option(
    "--validate",
    "validate_videos",
    type=AT_LEAST_ONE,
    default=1000,
    show_default=True,
    metavar="N",
    help="Videos to validate on.",
)
@click.option(
    "--test",
    "test_videos",
    type=click.IntRange(min=0),
    default=200,
    show_default=True,
    metavar="N",
    help="Videos without labels.",
)
@click.option(
    "--text",
    is_flag=True,
    help="A third modality: titles and keywords, some of which name a class. Frames and labels stay the same.",
)
def synthesize(out, seed, full, train_videos, validate_videos, test_videos, text) -> None:
    """Generate a data set in YouTube-8M's format at OUT; its classes come in stated kinds."""
    from dmlkit.data import DEMO_FRAMES, DEMO_SIZES, FULL_FRAMES, FULL_SIZES
    from dmlkit.data.synthetic import synthesize as generate

    sizes, frames = (FULL_SIZES, FULL_FRAMES) if full else (DEMO_SIZES, DEMO_FRAMES)
    path = generate(
        out,
        seed=seed,
        train=train_videos,
        validate=validate_videos,
        test=test_videos,
        sizes=sizes,
        max_frames=frames,
        text=text,
    )
    click.echo(f"The generated data set is in {path} (frame level) and {path / 'video'} (video level).")


@data.command(short_help="Say what a data set holds, without reading it all.")
@click.argument("path")
def show(path) -> None:
    """Say what the data set at PATH holds, and what was read off its shards."""
    from dmlkit.data import open_dataset

    dataset = open_dataset(path)
    features = ", ".join(
        f"{name} {feature.size:,} ({feature.coding})" for name, feature in dataset.features.items()
    )
    click.echo(f"{dataset.name}: {dataset.level} level, {features}, {dataset.num_classes:,} classes")
    for split, shards in dataset.splits.items():
        labels = "" if split in dataset.labelled else ", without labels"
        videos = counted(dataset.num_videos(split), "video")
        click.echo(f"  {split:9} {videos:>16} in {counted(len(shards), 'shard')}{labels}")
    for note in dataset.notes:
        click.echo(f"  {note}")
