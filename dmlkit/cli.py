"""The command line: thin, and the heavy libraries are imported by the command that needs them.

Names are checked before TensorFlow is imported. A reader's error is one paragraph and an exit code:
2 usage, 3 data; `--debug` shows the traceback instead.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import click

from dmlkit.errors import DmlkitError, UsageError, choose
from dmlkit.experiments import EXPERIMENTS, Experiment, find
from dmlkit.profiles import PROFILES

FOLDER = click.Path(path_type=Path)
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")

# Data may lie on a remote file system (gs://...), whose paths pathlib would mangle: they stay text.
data_option = click.option("--data", required=True, help="Folder of the data set, or of bare shards.")
profile_option = click.option(
    "--profile", default="demo", show_default=True, help=f"Sizes and budget: {', '.join(PROFILES)}."
)
seed_option = click.option("--seed", default=0, show_default=True, help="Of weights, order and dropout.")
deterministic_option = click.option(
    "--deterministic", is_flag=True, help="The same numbers for the same seed and number of threads."
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="dmlkit")
@click.option("--debug", is_flag=True, help="Show the traceback of an error; may stand anywhere.")
def app(debug: bool) -> None:
    """Multimodal video classification in notebooks: from logistic regression to attention and ensembles."""
    # `main` reads --debug wherever it stands; here it is only told of.


@app.command()
@click.option("--data", help="Folder of the data set; the generated one where none is named.")
@profile_option
@click.option("--out", type=FOLDER, help="Folder of the report; below reports/ where none is named.")
@click.option(
    "-p", "--parameter", nargs=2, multiple=True, metavar="NAME VALUE", help="A notebook's parameter."
)
@seed_option
@deterministic_option
def report(data, profile, out, parameter, seed, deterministic) -> None:
    """Execute the notebooks on a data set, and render them with an index page."""
    choose(PROFILES, profile, what="profile")
    from dmlkit.report import build_report

    name = profile if data is None else f"{os.path.basename(os.path.abspath(data))}-{profile}"
    made = build_report(
        data=data,
        profile=profile,
        out=out or Path("reports") / name,
        parameters=dict(parameter),
        seed=seed,
        deterministic=deterministic,
    )
    sys.exit(made.exit_code)


@app.command()
@click.argument("experiment")
@data_option
@click.option("--out", type=FOLDER, required=True, help="Folder of the run.")
@profile_option
@seed_option
@deterministic_option
@click.option("--frame-choice", metavar="NAME", help="Which frames are read: first, uniform, random.")
@click.option("--max-frames", type=click.IntRange(min=1), help="Frames of a video that are read at most.")
@click.option("--precision", type=click.Choice(PRECISIONS), default=PRECISIONS[0], show_default=True)
@click.option("--xla", is_flag=True, help="Compile the training step with XLA.")
def train(
    experiment, data, out, profile, seed, deterministic, frame_choice, max_frames, precision, xla
) -> None:
    """Train one EXPERIMENT and leave a run; `dmlkit experiments` lists them."""
    rung = find(experiment)
    conditions = choose(PROFILES, profile, what="profile")
    if not isinstance(rung, Experiment):
        raise UsageError(f"{experiment} is not trained by itself. `dmlkit ensemble` combines runs.")
    from dmlkit.data.frame_choice import FRAME_CHOICES
    from dmlkit.training import train as train_run

    if frame_choice:
        choose(FRAME_CHOICES, frame_choice, what="frame choice")
        conditions = replace(conditions, frame_choice=frame_choice)
    if max_frames:
        conditions = replace(conditions, max_frames=max_frames)
    run = train_run(
        rung,
        data=data,
        out=out,
        profile=conditions,
        seed=seed,
        deterministic=deterministic,
        precision=precision,
        xla=xla,
    )
    click.echo(f"{run}\nThe run is in {run.path}")


@app.command()
@click.argument("run", type=FOLDER)
@data_option
@click.option(
    "--split", default="validate", show_default=True, help="Part of the data set; it must be labelled."
)
def evaluate(run, data, split) -> None:
    """Measure a RUN on a part of a data set."""
    from dmlkit.training import evaluate as evaluate_run

    measures = evaluate_run(run, data=data, split=split)
    low, high = measures["gap_interval"]
    click.echo(
        f"{measures['videos']:,} videos of '{split}'\n"
        f"GAP@20  {measures['gap']:.4f}  (95 % interval {low:.4f} to {high:.4f})\n"
        f"mAP     {measures['map']:.4f}  over the {measures['map_classes']:,} of {measures['num_classes']:,} "
        f"classes that occur\n"
        f"Hit@1   {measures['hit_at_one']:.4f}\n"
        f"PERR    {measures['perr']:.4f}"
    )


@app.command()
@click.argument("runs", nargs=-1, required=True, type=FOLDER)
@click.option("--out", type=FOLDER, required=True, help="Folder of the ensemble.")
@click.option("--name", default="ensemble", show_default=True, help="What it is called.")
def ensemble(runs, out, name) -> None:
    """Combine RUNS, each weighted by its GAP on the tuning part (the paper's Algorithm 2)."""
    from dmlkit.training import ensemble as combine

    run = combine(runs, out=out, name=name)
    for member in run.record["members"]:
        click.echo(f"{member['weight']:.4f}  {member['name']}")
    click.echo(f"{run}\nThe ensemble is in {run.path}")


@app.command()
@click.argument("folder", type=FOLDER, default=Path("reports"))
def runs(folder) -> None:
    """List the runs below a FOLDER (reports), the highest GAP first."""
    if not folder.is_dir():
        raise UsageError(f"There is no folder {folder}. Name the folder under which the runs are.")
    from dmlkit.runs import load_runs

    table = load_runs(folder)
    if table.empty:
        click.echo(f"There are no finished runs below {folder}.")
        return
    shown = table[["name", "gap", "gap_low", "gap_high", "map", "seconds", "profile", "seed", "data", "path"]]
    click.echo(shown.to_string(index=False, float_format=lambda value: f"{value:.4f}"))


@app.command()
def experiments() -> None:
    """List the experiments that `dmlkit train` knows."""
    for rung in EXPERIMENTS.values():
        if isinstance(rung, Experiment):
            click.echo(f"{rung.name:24} {rung.title}")


@app.group()
def data() -> None:
    """Look at data sets, and generate one."""


@data.command()
@click.argument("out", type=FOLDER)
@click.option("--seed", default=0, show_default=True, help="The same bytes for the same seed.")
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


def main() -> None:
    """Run the command line, and turn errors made for readers into one paragraph and an exit code."""
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    try:
        app(arguments, prog_name="dmlkit")
    except DmlkitError as error:
        if len(arguments) < len(sys.argv) - 1:
            raise
        click.echo(f"dmlkit: {error}", err=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
