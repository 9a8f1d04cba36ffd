"""`dmlkit train`, `ensemble`, `experiments`."""

from __future__ import annotations

from dataclasses import replace

import click

from dmlkit.cli.options import (
    FOLDER,
    data_option,
    deterministic_option,
    goes_on_later,
    on_fault_option,
    seed_option,
)
from dmlkit.data.skipping import Skipped
from dmlkit.errors import UsageError, choose
from dmlkit.experiments import EXPERIMENTS, Experiment, Missing, find
from dmlkit.profiles import PROFILES, RECIPES

PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
STRATEGIES = ("auto", "mirrored", "multi-worker")


@click.command()
@click.argument("experiment")
@data_option
@click.option(
    "--out", type=FOLDER, help="Folder of the run; without it one below the runs of the data's report."
)
@click.option(
    "--profile",
    help=f"Sizes and budget: {', '.join(PROFILES)}; without it the experiment's own recipe, or demo.",
)
@seed_option
@deterministic_option
@click.option("--frame-choice", metavar="NAME", help="Which frames are read: first, uniform, random.")
@click.option("--max-frames", type=click.IntRange(min=1), help="Frames of a video that are read at most.")
@click.option("--precision", type=click.Choice(PRECISIONS), default=PRECISIONS[0], show_default=True)
@click.option("--xla", is_flag=True, help="Compile the training step with XLA.")
@click.option(
    "--tensorboard", type=FOLDER, metavar="DIR", help="Folder for TensorBoard's logs; none without it."
)
@click.option(
    "--strategy",
    type=click.Choice(STRATEGIES),
    default=STRATEGIES[0],
    show_default=True,
    help="One device or this machine's GPUs (auto), its GPUs (mirrored), the machines of TF_CONFIG (multi-worker).",
)
@on_fault_option
def train(
    experiment,
    data,
    out,
    profile,
    seed,
    deterministic,
    frame_choice,
    max_frames,
    precision,
    xla,
    tensorboard,
    strategy,
    on_fault,
) -> None:
    """Train one EXPERIMENT and leave a run; `dmlkit experiments` lists them.

    Of an ensemble the members that are missing are trained and combined; with --out they lie in its folder, below
    members/.
    """
    rung = find(experiment)
    if isinstance(rung, Missing):
        raise UsageError(f"{experiment} cannot be trained: {rung.reason}.")
    recipe = rung.recipe if isinstance(rung, Experiment) else None
    conditions = choose(PROFILES | RECIPES, profile or recipe or "demo", what="profile")
    if out is not None and out.exists() and not out.is_dir():
        raise UsageError(f"The run cannot be written to {out}: a file stands there. Choose another folder.")
    changes = {}
    if frame_choice:
        from dmlkit.data.frame_choice import FRAME_CHOICES

        choose(FRAME_CHOICES, frame_choice, what="frame choice")
        changes["frame_choice"] = frame_choice
    if max_frames:
        changes["max_frames"] = max_frames
    Skipped.of(on_fault)
    with goes_on_later():
        from dmlkit.training import train as train_run
        from dmlkit.training import train_ensemble

        # An ensemble's members may have recipes of their own.
        one = isinstance(rung, Experiment)
        how = {"profile": replace(conditions, **changes)} if one else {"profile": profile, "changes": changes}
        run = (train_run if one else train_ensemble)(
            rung,
            data=data,
            out=out,
            **how,
            seed=seed,
            deterministic=deterministic,
            precision=precision,
            xla=xla,
            tensorboard=tensorboard,
            strategy=strategy,
            on_fault=on_fault,
        )
    _tell_members(run)
    click.echo(f"{run}\nThe run is in {run.path}")


@click.command()
@click.argument("runs", nargs=-1, required=True, type=FOLDER)
@click.option("--out", type=FOLDER, required=True, help="Folder of the ensemble.")
@click.option("--name", default="ensemble", show_default=True, help="What it is called.")
@click.option(
    "--by",
    metavar="NAME",
    default="algorithm_2",
    show_default=True,
    help="The way: algorithm_2 (weighted by GAP, the paper's), uniform, majority (votes for each video's 20 highest "
    "classes), rank_mean (of the classes of a video), found (weights of the highest GAP), stacking (logistic "
    "regression on the scores).",
)
def ensemble(runs, out, name, by) -> None:
    """Combine RUNS into one run; what weights there are come from the tuning part."""
    from dmlkit.evaluation import WAYS

    choose(WAYS, by, what="way to combine")
    from dmlkit.training import ensemble as combine

    run = combine(runs, out=out, name=name, by=by)
    _tell_members(run)
    click.echo(f"{run}\nThe ensemble is in {run.path}")


def _tell_members(run) -> None:
    """Of an ensemble, what each member weighs."""
    for member in run.record.get("members", ()):
        click.echo(f"{member['weight']:.4f}  {member['name']}")


@click.command()
def experiments() -> None:
    """List the experiments that `dmlkit train` knows."""
    for rung in EXPERIMENTS.values():
        if isinstance(rung, Experiment):
            click.echo(f"{rung.name:24} {rung.title}")
