"""`dmlkit train`, `evaluate`, `predict`, `export`, `ensemble`, `compare`, `runs`, `experiments`, and shared options.

Names and values are checked before the libraries that train are imported.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import click

from dmlkit.errors import UsageError, choose, counted, nearest, readable, shorten, without_controls
from dmlkit.paths import reports
from dmlkit.plugins import load_plugins
from dmlkit.runtime import check_keras


class PathType(click.Path):
    """A path of this machine: `~` is the home folder. Empty ones, as unset variables leave them, are refused."""

    def convert(self, value, param, ctx):
        """The path, as `path_type` has it."""
        text = os.path.expanduser(value)
        if not text.strip() or "\0" in text:
            name = param.opts[0] if param.param_type_name == "option" else param.human_readable_name
            raise UsageError(f"{name} takes a path, neither empty nor with a NUL in it. Received: {text!r}.")
        return super().convert(text, param, ctx)


FOLDER = PathType(path_type=Path, readable=False)
AT_LEAST_ONE = click.IntRange(min=1)
SEED = click.IntRange(0, 2**32 - 1)  # what numpy, Keras and TensorFlow all take
PRECISION = click.Choice(("float32", "mixed_bfloat16", "mixed_float16"))

# Data may lie on a remote file system (gs://...), whose paths pathlib would mangle: they stay text.
data_option = click.option("--data", required=True, help="Folder of shards; or shards, also as a pattern.")
profile_option = click.option("--profile", default="demo", help="Sizes and budget: smoke, demo, full, paper.")
seed_option = click.option("--seed", type=SEED, default=0, help="Of weights, order and dropout.")
deterministic_option = click.option(
    "--deterministic", is_flag=True, help="The same numbers for the same seed and number of threads."
)
unit_option = click.option(
    "--unit",
    type=click.Choice(("video", "segment")),
    default="video",
    help="Whole videos, or segments of 5 s.",
)
method_option = click.option(
    "--method",
    metavar="NAME",
    default="clip",
    help="How RUNS score segments: each as a short video (clip), by what its frames contribute to the score of the "
    "whole video (contribution), or by the whole video's score (video).",
)
on_fault_option = click.option(
    "--on-fault", default="raise", metavar="POLICY", help="At corrupt records: raise, or 'skip N' at most."
)
SEVERAL = (
    "Several RUNS score together, each weighted by its GAP on the tuning split, as `dmlkit ensemble` does; --by names "
    "another combiner, whose weights come from the tuning split. An ensemble on disk scores by its own combiner."
)


def _load_plugins(context: click.Context, option: click.Option, files: Sequence[Path]) -> None:
    if files:
        with _warnings_noted():
            load_plugins(files)


plugin_option = click.Option(
    ["--plugin"],
    type=FOLDER,
    multiple=True,
    metavar="FILE",
    help="Python file that adds fusions, encoders, poolings, classifiers or experiments; repeatable.",
    callback=_load_plugins,
    expose_value=False,
    is_eager=True,
)
by_option = click.option("--by", metavar="NAME", help="Combiner of RUNS; see `dmlkit ensemble --help`.")


@contextmanager
def resumable() -> Iterator[None]:
    """Around what Ctrl-C interrupts without loss: with that message and the exit code 130."""
    try:
        yield
    except KeyboardInterrupt:
        click.echo("dmlkit: interrupted; the same command continues where it stopped.", err=True)
        sys.exit(130)


COMMON = ("epochs", "batch_size", "learning_rate")  # fields of --set that are options of their own


class Training(click.Command):
    """`dmlkit train`, whose help lists the fields of `--set`."""

    def format_epilog(self, ctx, formatter):
        """Each field, the values it takes, and the one that the profile has."""
        from dmlkit.profiles import describe_settings

        with formatter.section("Fields of --set, the values they take [in the profile demo]"):
            formatter.write_dl([(name, f"{a}  [{b}]") for name, (a, b) in describe_settings().items()])


@click.command(cls=Training)
@click.argument("experiment")
@data_option
@unit_option
@click.option("--start-from", type=FOLDER, metavar="RUN", help="Run whose weights are the initial ones.")
@click.option("--out", type=FOLDER, help="Folder of the run; by default below the runs of the data's report.")
@click.option("--profile", help="smoke, demo, full or paper; by default the experiment's recipe, or demo.")
@seed_option
@deterministic_option
@click.option(
    "--set", "given", multiple=True, metavar="FIELD=VALUE", help="Change the profile: mixup=0.4; repeatable."
)
@click.option("--epochs", metavar="N", help="Most epochs: --set epochs=N.")
@click.option("--batch-size", metavar="N", help="Videos a step: --set batch_size=N.")
@click.option("--learning-rate", metavar="X", help="Of Adam, at first: --set learning_rate=X.")
@click.option("--precision", type=PRECISION, default="float32")
@click.option("--xla", is_flag=True, help="Compile the training step with XLA.")
@click.option("--tensorboard", type=FOLDER, metavar="DIR", help="Folder for TensorBoard's logs.")
@click.option(
    "--strategy",
    type=click.Choice(("auto", "mirrored", "multi-worker")),
    default="auto",
    help="One device or this machine's GPUs (auto), its GPUs (mirrored), the machines of TF_CONFIG (multi-worker).",
)
@on_fault_option
def train(experiment, data, unit, start_from, out, profile, given, on_fault, **settings) -> None:
    """Train one EXPERIMENT and leave a run; `dmlkit experiments` lists them.

    With --unit segment, the rated segments of the data are learned; --start-from fine-tunes a run, on them or on
    videos.

    An ensemble's missing members are trained and combined, and a distilled model's teachers are trained before it;
    with --out they lie in its folder, below members/.
    """
    from dmlkit.data import Skipped, open_dataset
    from dmlkit.experiments import Ensemble, find
    from dmlkit.profiles import as_profile

    chosen = find(experiment)
    if profile is not None:  # an empty one is none of the names
        as_profile(profile)
    named = {name: value for name in COMMON if (value := settings.pop(name)) is not None}
    changes = _read_settings([*given, *map("=".join, named.items())])
    _check_settings(chosen, profile, changes)
    Skipped.of(on_fault)
    is_combined = isinstance(chosen, Ensemble) or bool(chosen.teachers)
    if start_from is not None:
        if is_combined:
            raise UsageError(f"{chosen.name} is made of several trainings: leave out --start-from.")
        from dmlkit.runs import load_run

        load_run(start_from)
        settings["start_from"] = start_from
    check_keras(training=True)
    with resumable():
        from dmlkit import training

        if unit == "segment":
            data = open_dataset(data, unit=unit)
        settings |= {"data": data, "out": out, "on_fault": on_fault}
        if is_combined:
            # Each of those that are trained first may have a recipe of its own.
            run = training.train_ensemble(chosen, profile=profile, changes=changes, **settings)
        else:
            conditions = replace(as_profile(profile or chosen.recipe or "demo"), **changes)
            run = training.train(chosen, profile=conditions, **settings)
    _echo_run(run, "run")


def _read_settings(given: Sequence[str]) -> dict[str, object]:
    """Field → value of `--set`; texts of numbers become numbers where the profile is made."""
    from dmlkit.profiles import SETTABLE

    changes: dict[str, object] = {}
    for each in given:
        name, equals, value = each.partition("=")
        if not equals:
            raise UsageError(f"--set takes FIELD=VALUE, such as mixup=0.4. Received: {each!r}.")
        choose(dict.fromkeys(SETTABLE), name, what="field to set")
        if name in changes:
            raise UsageError(f"{name} is set twice. Name it once.")
        several = tuple(value.split(",")) if "," in value else value
        changes[name] = None if value.lower() == "none" and name.startswith("max_") else several
    return changes


def _check_settings(experiment, profile: str | None, changes: Mapping[str, object]) -> None:
    """Refuse changes that no training of an experiment or of its members could have, or that it overrides."""
    from dmlkit.experiments import TRICKS, Ensemble, find
    from dmlkit.profiles import profile_for

    for name in experiment.members if isinstance(experiment, Ensemble) else experiment.teachers:
        try:
            _check_settings(find(name), profile, changes)
        except UsageError as error:
            raise UsageError(f"{experiment.name} needs {name}, which cannot be trained so. {error}") from None
    if isinstance(experiment, Ensemble):
        return
    own = {name: getattr(experiment, name) for name in ("units", "layers", "normalization")}
    own |= TRICKS[experiment.trick].changes if experiment.trick else {}
    for name in changes:
        if own.get(name) is not None:
            raise UsageError(
                f"{experiment.name} has {name}={own[name]} of its own, whatever the profile has: --set {name} would "
                "change nothing. Set it on another experiment."
            )
    replace(profile_for(experiment, profile), **changes)


def _echo_run(run, what: str) -> None:
    """The weight of each member of an ensemble, the score, and where the run is."""
    for member in run.record.get("members", ()):
        click.echo(f"{member['weight']:.4f}  {member['name']}")
    click.echo(f"{run}\nThe {what} is in {run.path}")


@click.command()
@click.argument("runs", nargs=-1, required=True, type=FOLDER)
@click.option("--out", type=FOLDER, required=True, help="Folder of the ensemble.")
@click.option("--name", default="ensemble", help="Its name.")
@click.option(
    "--by",
    metavar="NAME",
    default="algorithm_2",
    help="The combiner: algorithm_2 (weighted by GAP, the paper's), uniform, majority (votes for each video's 20 "
    "highest classes), rank_mean (of a video's classes), optimized (weights of the highest GAP), stacking (logistic "
    "regression on the scores).",
)
def ensemble(runs, out, name, by) -> None:
    """Combine RUNS into one run; weights come from the tuning split."""
    from dmlkit.metrics import COMBINERS

    choose(COMBINERS, by, what="combiner")
    from dmlkit import training

    _echo_run(training.ensemble(runs, out=out, name=name, by=by), "ensemble")


@click.command(epilog=SEVERAL)
@click.argument("runs", nargs=-1, type=FOLDER)
@data_option
@click.option("--split", default="validate", help="Split of the data set, with labels.")
@click.option("--submission", type=FOLDER, metavar="FILE", help="A file of `dmlkit predict` instead of RUNS.")
@unit_option
@click.option(
    "--max-videos", type=AT_LEAST_ONE, help="At most so many videos, of a fixed sample of the split's shards."
)
@click.option(
    "--per-class",
    type=FOLDER,
    metavar="FILE",
    help="A file for class, name, videos and average precision as CSV; compressed where its name ends in .gz.",
)
@by_option
@method_option
@on_fault_option
def evaluate(runs, data, split, submission, unit, max_videos, per_class, by, method, on_fault) -> None:
    """Measure RUNS, or a submission, on a split of a data set."""
    if submission is not None:
        if runs or max_videos or per_class or by or method != "clip" or on_fault != "raise":
            raise UsageError(
                "--submission measures a file as it is: leave out RUNS, --max-videos, --per-class, --by, --method and "
                "--on-fault with it."
            )
        if unit == "segment":
            from dmlkit.segment_submission import evaluate as evaluate_file
        else:
            from dmlkit.submission import evaluate as evaluate_file

        figures = evaluate_file(submission, data=data, split=split)
        for note in figures["notes"]:
            _note(note)
        click.echo(_map_lines(figures, split) if unit == "segment" else _gap_lines(figures, split))
        return
    _check_method(method, unit)
    if not runs:
        raise UsageError("Name a run to measure, or a file of predictions by --submission FILE.")
    with _scoring(runs, by, on_fault) as skipped:
        from dmlkit.training import evaluate as evaluate_runs

        settings = {"on_fault": skipped, "per_class": per_class, "unit": unit, "method": method}
        metrics = evaluate_runs(runs, data=data, split=split, max_videos=max_videos, by=by, **settings)
        if unit == "segment":
            click.echo(_map_lines(metrics, split))
            click.echo(f"GAP@20  {metrics['gap']:.4f}  of the rated pairs")
            return
        classes = f"{metrics['map_classes']:,} of {metrics['num_classes']:,} classes that occur"
        click.echo(_gap_lines(metrics, split))
        click.echo(f"mAP     {metrics['map']:.4f}  over the {classes}")
        click.echo(f"Hit@1   {metrics['hit_at_one']:.4f}\nPERR    {metrics['perr']:.4f}")


def _gap_lines(metrics: Mapping, split: str) -> str:
    from dmlkit.metrics import FOR_THIS_SEED

    interval = f"95 % interval {FOR_THIS_SEED}: " + "{:.4f} to {:.4f}".format(*metrics["gap_interval"])
    return f"{metrics['videos']:,} videos of '{split}'\nGAP@20  {metrics['gap']:.4f}  ({interval})"


def _map_lines(metrics: Mapping, split: str) -> str:
    from dmlkit.metrics import FOR_THIS_SEED

    rated = "{rated:,} ratings of {segments:,} segments of {videos:,} videos".format(**metrics)
    interval = f"95 % interval {FOR_THIS_SEED}: " + "{:.4f} to {:.4f}".format(*metrics["map_at_k_interval"])
    over = "over the {classes:,} of {num_classes:,} classes that are rated as present; K = {k:,}".format(
        **metrics
    )
    return f"{rated} of '{split}'\nmAP@K   {metrics['map_at_k']:.4f}  ({interval})\n        {over}"


@click.command(epilog=SEVERAL)
@click.argument("runs", nargs=-1, required=True, type=FOLDER, metavar="RUNS... [CLIP]")
@click.option("--data", help="Folder of shards; or shards, also as a pattern.")
@click.option("--split", help="Split of the data set.  [default: test]")
@click.option(
    "--out",
    type=PathType(path_type=Path, readable=False, allow_dash=True),
    metavar="FILE",
    help="Written whole or not at all; compressed where its name ends in .gz; - for standard output.",
)
@click.option("--top-k", type=AT_LEAST_ONE, help="Classes a video, at most 20.  [default: 20; of a CLIP: 5]")
@click.option("--names", is_flag=True, help="Class names, a line each, for reading. That is no submission.")
@click.option("--json", "as_json", is_flag=True, help="Of a CLIP, for other programs.")
@by_option
@unit_option
@method_option
@on_fault_option
def predict(runs, data, split, out, top_k, names, as_json, by, unit, method, on_fault) -> None:
    """Write the predictions of RUNS for a split of a data set, in YouTube-8M's format for submissions.

    With --unit segment, a line a class with its best segments, as YouTube-8M 2019 had it.

    Or print the classes of the highest scores for a CLIP, a video or audio file, whose features are extracted as those
    of the (first) run's training.
    """
    _check_method(method, unit)
    from dmlkit.extraction.clips import is_clip

    clips = [path for path in runs if is_clip(path)]
    others = any((data, split, out, names, unit != "video", on_fault != "raise"))
    if (others or len(clips) > 1 or len(runs) == 1) if clips else (data is None or out is None or as_json):
        raise UsageError(
            "Name runs, --data and --out (without --json); or runs and one video or audio file, with no other options "
            "than --top-k, --by and --json. Many files become a data set by `dmlkit data extract`."
        )
    if clips:
        return _predict_clip([each for each in runs if each != clips[0]], clips[0], top_k or 5, as_json, by)
    if unit == "segment" and (names or top_k):
        raise UsageError(
            "A submission of segments has the best segments of each class: leave out --top-k and --names."
        )
    split, form = split or "test", {"top_k": top_k or 20, "names": names, "unit": unit, "method": method}
    with _scoring(runs, by, on_fault) as skipped:
        from dmlkit.training import submit

        videos = submit(runs, data=data, out=out, split=split, by=by, on_fault=skipped, **form)
        to_stdout = str(out) == "-"
        written = "written" if to_stdout else f"are in {out}"
        click.echo(f"{counted(videos, unit)} of '{split}' {written}.", err=to_stdout)
    return None


def _check_method(method: str, unit: str) -> None:
    """Refuse an unknown method, or one of segments for whole videos."""
    choose({"clip": 0, "contribution": 0, "video": 0}, method, what="way to score segments")
    if unit == "video" and method != "clip":
        raise UsageError(f"--method {method} scores segments: add --unit segment.")


def _predict_clip(runs: Sequence[Path], clip: Path, top_k: int, as_json: bool, by: str | None) -> None:
    """Print the classes of the highest scores of one file, the highest first."""
    from dmlkit.runs import load_run

    with _scoring(runs, by, "raise"):
        from dmlkit.training import predict as scores_of

        scores = scores_of(runs, clip, by=by)[0].astype(float).tolist()
    names = readable(load_run(runs[0]).class_names or [f"class {each}" for each in range(len(scores))])
    best = sorted(range(len(scores)), key=lambda label: -scores[label])[:top_k]
    rows = [{"class": each, "name": names[each], "score": scores[each]} for each in best]
    lines = (f"{row['score']:.4f}  {row['name']}" for row in rows)
    record = {"clip": os.fspath(clip), "classes": rows}
    click.echo(json.dumps(record, indent=2) if as_json else "\n".join(lines))


@click.command()
@click.argument("run", type=FOLDER)
@click.option(
    "--to",
    type=FOLDER,
    required=True,
    metavar="DIR",
    help="New folder for the model, its card and class names.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(("saved-model", "onnx", "litert", "mediapipe")),
    required=True,
    help="For TensorFlow and its Serving, onnxruntime, LiteRT on devices, or MediaPipe's YouTube-8M graph.",
)
@click.option("--data", help="Data set to compare scores on.  [default: random values]")
@click.option("--videos", type=AT_LEAST_ONE, default=100, help="At most so many are compared.")
def export(run, to, form, data, videos) -> None:
    """Write the model of RUN in the format of another program, if its scores are those of the run."""
    from dmlkit.runs import load_run

    load_run(run)
    with _warnings_noted():
        from dmlkit.training import export as export_run

        click.echo(f"{export_run(run, to, format=form, data=data, videos=videos)}\nThe model is in {to}")


@contextmanager
def _scoring(runs: Sequence[Path], by: str | None, on_fault: str) -> Iterator:
    """Refuse an unknown policy, combiner or run before TensorFlow is loaded; report what is converted or left out."""
    from dmlkit.data import Skipped
    from dmlkit.metrics import COMBINERS
    from dmlkit.runs import load_run

    skipped = Skipped.of(on_fault)
    if by is not None:
        choose(COMBINERS, by, what="combiner")
    for run in runs:
        load_run(run)
    with _warnings_noted():
        yield skipped
    if cut := skipped.to_record()["cut"]:
        _note(f"{counted(cut, 'video')} cut to the shortest modality.")
    if skipped.records:
        (shard, number), (byte, fault) = next(iter(skipped.records.items()))
        count = counted(len(skipped.records), "corrupt record")
        _note(f"{count} left out, the first: {shard}, record {number}, byte {byte} ({fault}).")


@contextmanager
def _warnings_noted() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("always", module="dmlkit")
        warnings.showwarning = lambda message, *_: _note(message)
        yield


def _note(message: object) -> None:
    click.echo(f"dmlkit: {without_controls(message)}", err=True)


@click.command()
@click.argument("folder", type=FOLDER, required=False)
@click.option("--experiment", metavar="NAME", help="Only the runs of this experiment.")
@click.option("--profile", metavar="NAME", help="Only the runs under this profile.")
@click.option("--json", "as_json", is_flag=True, help="Every column, for other programs.")
def runs(folder, experiment, profile, as_json) -> None:
    """List the runs below a FOLDER, by default HOME/reports, data set by data set, the highest GAP first.

    HOME is the folder that DMLKIT_HOME names, else the checkout, else the current folder.
    """
    folder = folder or reports()
    if not folder.is_dir():
        raise UsageError(f"There is no folder {folder}. Name the folder under which the runs are.")
    from dmlkit.runs import find_runs, run_row, summarize_errors

    found, damaged = find_runs(folder)
    for line in summarize_errors(damaged):
        _note(line)
    rows = [run_row(run) | {"fingerprint": run.record["data"]["fingerprint"]} for run in found]
    for column, wanted in (("name", experiment), ("profile", profile)):
        if wanted is not None and rows:
            hint = nearest(wanted, {shorten(row[column]) for row in rows})
            rows = [row for row in rows if row[column] == wanted]
            if not rows:
                raise UsageError(f"There are no runs with the {column} {wanted!r} below {folder}.{hint}")
    rows.sort(key=lambda row: -row["gap"])
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    # The GAPs of one data set cannot be compared with those of another.
    groups: dict[tuple, list[dict]] = {}
    for row in rows:
        groups.setdefault((row["fingerprint"], row["videos"]), []).append(row)
    tables = "\n\n".join(map(_run_table, groups.values()))
    click.echo(tables or f"There are no finished runs below {folder}.")


def _run_table(rows: Sequence[dict]) -> str:
    below = os.path.commonpath([os.path.dirname(row["path"]) for row in rows]) or os.curdir
    cells = [("experiment", "GAP@20", "95 % interval", "mAP", "seconds", "profile", "seed", "folder")]
    for row in rows:
        scores = [f"{row['gap']:.4f}", "{gap_low:.4f} {gap_high:.4f}".format(**row), f"{row['map']:.4f}"]
        conditions = [f"{row['seconds']:,.0f}", shorten(row["profile"], 16), str(row["seed"])]
        path = shorten(os.path.relpath(row["path"], below), 4096)
        cells.append((shorten(row["name"], 30), *scores, *conditions, path))
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(map(str.ljust, line, widths)).rstrip() for line in cells]
    heading = f"{shorten(rows[0]['data'], 60)}, {rows[0]['videos']:,} videos, below {shorten(below, 4096)}"
    return "\n".join([f"{heading}; intervals are over videos, for this seed", *lines])


@click.command()
@click.argument("paths", nargs=-1, type=FOLDER, metavar="A B")
@click.option("--runs", "folder", type=FOLDER, help="Of runs given by name.  [default: HOME/reports]")
@click.option("--profile", metavar="NAME", help="Only the runs of names under this profile.")
@click.option("--data", metavar="DIR", help="The data set of the runs, for class names if those have none.")
@click.option("--classes", default=5, type=click.IntRange(min=0), help="Shown each way.")
@click.option("--resamples", default=1000, type=AT_LEAST_ONE, help="Of the bootstrap.")
@click.option("--json", "as_json", is_flag=True, help="Everything, every class, for other programs.")
def compare(paths, folder, profile, data, classes, resamples, as_json) -> None:
    """Compare run A with run B on the videos both have scored.

    A and B are names of experiments (attention), which mean all their finished runs below --runs, or folders: of
    one run, or of several runs of one experiment with different seeds. More than two (seed-*) are grouped by
    experiment and profile, which must make two sides. Where both have several seeds, the interval of the difference
    is over videos and seeds, else over videos, for these seeds.
    """
    from dmlkit import comparison
    from dmlkit.data import open_dataset

    a, b, notes = comparison.two_sides(paths, folder=folder or reports(), profile=profile)
    for note in notes:
        _note(note)
    dataset = None if data is None else open_dataset(data)
    found = comparison.compare(a, b, dataset=dataset, resamples=resamples)
    click.echo(json.dumps(found.to_record(), indent=2) if as_json else found.text(classes=classes))


@click.command()
def experiments() -> None:
    """List the experiments that `dmlkit train` takes, each with its title."""
    from dmlkit.experiments import ABLATIONS, BEYOND, EXPERIMENTS, LADDER, VIDEO_LADDER

    seen = set()
    for heading, table in {
        "The paper's ladder, on frames": LADDER,
        "The ladder where a video is one vector": VIDEO_LADDER,
        "Ablations: other readings of the paper": ABLATIONS,
        "Beyond the ladder: later systems, and the recipes of the best scores": BEYOND,
        "One change in training each, the checkpoints of one training, and experiments of plugins": EXPERIMENTS,
    }.items():
        new = [f"  {name:31} {each.title}" for name, each in table.items() if name not in seen]
        click.echo("\n".join([heading, *new]))
        seen |= table.keys()


COMMANDS = (train, evaluate, predict, export, ensemble, runs, compare, experiments)
