"""`dmlkit data`."""

from __future__ import annotations

import click

from dmlkit.cli.check import check
from dmlkit.cli.download import download
from dmlkit.cli.importing import import_
from dmlkit.cli.options import FOLDER, SEED


@click.group()
def data() -> None:
    """Look at data sets, check that they are whole, generate one, fetch one, import your own."""


data.add_command(check)
data.add_command(download)
data.add_command(import_)


@data.command()
@click.argument("out", type=FOLDER)
@click.option("--seed", type=SEED, default=0, show_default=True, help="The same bytes for the same seed.")
@click.option("--full", is_flag=True, help="1,024 + 128 dimensions and up to 300 frames.")
@click.option("--train", "train_videos", type=click.IntRange(min=1), default=2000, show_default=True)
@click.option("--validate", "validate_videos", type=click.IntRange(min=1), default=1000, show_default=True)
@click.option("--test", "test_videos", type=click.IntRange(min=0), default=200, show_default=True)
def synthesize(out, seed, full, train_videos, validate_videos, test_videos) -> None:
    """Generate a data set in YouTube-8M's format at OUT; its classes come in stated kinds."""
    from dmlkit.data.synthetic import synthesize as generate
    from dmlkit.data.synthetic_kinds import DEMO_FRAMES, DEMO_SIZES, FULL_FRAMES, FULL_SIZES

    sizes, frames = (FULL_SIZES, FULL_FRAMES) if full else (DEMO_SIZES, DEMO_FRAMES)
    path = generate(
        out,
        seed=seed,
        train=train_videos,
        validate=validate_videos,
        test=test_videos,
        sizes=sizes,
        max_frames=frames,
    )
    click.echo(f"The generated data set is in {path} (frame level) and {path / 'video'} (video level).")


@data.command()
@click.argument("path")
def show(path) -> None:
    """Say what the data set at PATH holds, and what was read off its shards."""
    from dmlkit.data import open_dataset

    dataset = open_dataset(path)
    features = ", ".join(
        f"{name} {feature.size} ({feature.coding})" for name, feature in dataset.features.items()
    )
    click.echo(f"{dataset.name}: {dataset.level} level, {features}, {dataset.num_classes:,} classes")
    for split, shards in dataset.splits.items():
        labels = "" if split in dataset.labelled else ", without labels"
        click.echo(f"  {split:9} {dataset.num_videos(split):>9,} videos in {len(shards):,} shards{labels}")
    for note in dataset.notes:
        click.echo(f"  {note}")
