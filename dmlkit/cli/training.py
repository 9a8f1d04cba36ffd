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
from dmlkit.cli.settings import check_settings, read_settings
from dmlkit.errors import UsageError, choose
from dmlkit.experiments import (
    ABLATIONS,
    BEYOND,
    CHECKPOINTS,
    LADDER,
    TRICK_ABLATIONS,
    VIDEO_LADDER,
    Ensemble,
    Missing,
    by_name,
    find,
)
from dmlkit.profiles import PROFILES, RECIPES

PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
STRATEGIES = ("auto", "mirrored", "multi-worker")

# What the list of experiments parts them by; each stands where it is met first.
LISTS = {
    "The paper's ladder, on frames": LADDER,
    "The ladder where a video is one vector": VIDEO_LADDER,
    "Beside the ladder: other readings of the paper": ABLATIONS,
    "Beyond it: later systems, and the recipes of the best scores": BEYOND,
    "One rung trained otherwise: each trick alone, and the checkpoints of one training": TRICK_ABLATIONS
    | by_name(*CHECKPOINTS.values()),
}


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
@click.option(
    "--set",
    "given",
    multiple=True,
    metavar="FIELD=VALUE",
    help="A field of the profile that is to have another value: --set mixup=0.4; may be given several times.",
)
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
    given,
    precision,
    xla,
    tensorboard,
    strategy,
    on_fault,
) -> None:
    """Train one EXPERIMENT and leave a run; `dmlkit experiments` lists them.

    Of an ensemble the members that are missing are trained and combined, and a distilled model's teachers are trained
    before it; with --out they lie in its folder, below members/.
    """
    rung = find(experiment)
    if isinstance(rung, Missing):
        raise UsageError(f"{experiment} cannot be trained: {rung.reason}.")
    changes = read_settings(given)
    check_settings(rung, profile, changes)
    if out is not None and out.exists() and not out.is_dir():
        raise UsageError(f"The run cannot be written to {out}: a file stands there. Choose another folder.")
    with goes_on_later():
        from dmlkit.data import Skipped
        from dmlkit.training import train as train_run
        from dmlkit.training import train_ensemble

        Skipped.of(on_fault)

        if isinstance(rung, Ensemble) or rung.teachers:
            # Each of those that are trained first may have a recipe of its own.
            train_it, how = train_ensemble, {"profile": profile, "changes": changes}
        else:
            conditions = (PROFILES | RECIPES)[profile or rung.recipe or "demo"]
            train_it, how = train_run, {"profile": replace(conditions, **changes)}
        run = train_it(
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
    from dmlkit.metrics import COMBINERS

    choose(COMBINERS, by, what="way to combine")
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
    """List the experiments that `dmlkit train` knows, and what each of them is."""
    seen = set()
    for title, rungs in LISTS.items():
        new = {
            name: rung for name, rung in rungs.items() if name not in seen and not isinstance(rung, Missing)
        }
        seen |= new.keys()
        for line in [title, *(f"  {name:31} {rung.title}" for name, rung in new.items())] if new else []:
            click.echo(line)
