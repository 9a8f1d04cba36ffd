"""`dmlkit evaluate` and `dmlkit predict`."""

from __future__ import annotations

from pathlib import Path

import click

from dmlkit.cli.options import FOLDER, data_option, on_fault_option
from dmlkit.errors import UsageError, choose
from dmlkit.text import counted

SEVERAL = (
    "Several RUNS score together, each weighted by its GAP on the tuning part, as `dmlkit ensemble` does; --by names "
    "another way, whose weights come from what they said of the tuning part. One that `dmlkit ensemble` left scores in "
    "the way it was combined."
)
by_option = click.option(
    "--by", metavar="NAME", help="How several RUNS are combined; `dmlkit ensemble --help` tells the ways."
)


@click.command(epilog=SEVERAL)
@click.argument("runs", nargs=-1, type=FOLDER)
@data_option
@click.option(
    "--split", default="validate", show_default=True, help="Part of the data set; it must be labelled."
)
@click.option(
    "--submission", type=FOLDER, metavar="FILE", help="Measure this file of `dmlkit predict`, not a run."
)
@click.option("--max-videos", type=click.IntRange(min=1), help="Only the first videos of the part.")
@by_option
@on_fault_option
def evaluate(runs, data, split, submission, max_videos, by, on_fault) -> None:
    """Measure RUNS, or a submission, on a part of a data set."""
    if submission is not None:
        if runs or max_videos or by or on_fault != "raise":
            raise UsageError(
                "--submission measures a file as it is: leave out RUNS, --max-videos, --by and --on-fault with it."
            )
        from dmlkit.submission import evaluate as evaluate_file

        click.echo(_gap(evaluate_file(submission, data=data, split=split), split))
        return
    if not runs:
        raise UsageError("Name a run to measure, or a file of predictions by --submission FILE.")
    skipped = _check(runs, by, on_fault)
    from dmlkit.training import evaluate as evaluate_runs

    metrics = evaluate_runs(runs, data=data, split=split, max_videos=max_videos, by=by, on_fault=skipped)
    click.echo(
        f"{_gap(metrics, split)}\n"
        f"mAP     {metrics['map']:.4f}  over the {metrics['map_classes']:,} of {metrics['num_classes']:,} "
        f"classes that occur\n"
        f"Hit@1   {metrics['hit_at_one']:.4f}\n"
        f"PERR    {metrics['perr']:.4f}"
    )
    _tell(skipped)


def _gap(metrics: dict, split: str) -> str:
    low, high = metrics["gap_interval"]
    return (
        f"{metrics['videos']:,} videos of '{split}'\n"
        f"GAP@20  {metrics['gap']:.4f}  (95 % interval {low:.4f} to {high:.4f})"
    )


@click.command(epilog=SEVERAL)
@click.argument("runs", nargs=-1, required=True, type=FOLDER)
@data_option
@click.option("--split", default="test", show_default=True, help="Part of the data set.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, allow_dash=True),
    required=True,
    metavar="FILE",
    help="Written whole or not at all; compressed where its name ends in .gz; - for standard output.",
)
@click.option(
    "--top-k",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="Classes a video, the highest scores first; YouTube-8M takes at most 20.",
)
@click.option("--names", is_flag=True, help="For people: class names, a line each. That is no submission.")
@by_option
@on_fault_option
def predict(runs, data, split, out, top_k, names, by, on_fault) -> None:
    """Write what RUNS say of a part of a data set, in YouTube-8M's form for submissions."""
    skipped = _check(runs, by, on_fault)
    from dmlkit.training import submit

    videos = submit(runs, data=data, out=out, split=split, top_k=top_k, names=names, by=by, on_fault=skipped)
    # Apart from what may go to standard output.
    to_stdout = str(out) == "-"
    click.echo(
        f"{counted(videos, 'video')} of '{split}' {'written' if to_stdout else f'are in {out}'}.",
        err=to_stdout,
    )
    _tell(skipped)


def _check(runs, by: str | None, on_fault: str):
    """Refuse what is no policy, no way and no finished run before TensorFlow is loaded; what is left out comes here."""
    from dmlkit.data import Skipped
    from dmlkit.metrics import COMBINERS
    from dmlkit.runs import load_run

    skipped = Skipped.of(on_fault)
    if by is not None:
        choose(COMBINERS, by, what="way to combine")
    for run in runs:
        load_run(run)
    return skipped


def _tell(skipped) -> None:
    if skipped.records:
        (shard, number), (byte, fault) = next(iter(skipped.records.items()))
        click.echo(
            f"dmlkit: {counted(len(skipped.records), 'faulty record')} left out, the first: {shard}, record {number}, "
            f"byte {byte} ({fault}).",
            err=True,
        )
