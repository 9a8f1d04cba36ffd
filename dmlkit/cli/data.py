"""`dmlkit data ...` and `dmlkit submission ...`."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

import click

from dmlkit.cli.runs import AT_LEAST_ONE, FOLDER, SEED, PathType, data_option, resumable, unit_option
from dmlkit.errors import DataError, UsageError, counted

# Text, so that an address can be distinguished from a local file.
LOCAL = PathType(readable=False)
SPLIT = click.Choice(("train", "validate", "test"))


def number(name: str, variable: str, default: int, text: str, *, least: int = 1):
    """An option that takes a whole number."""
    return click.option(name, variable, type=click.IntRange(least), default=default, metavar="N", help=text)


@click.group()
def data() -> None:
    """Show, check, generate, download and import data sets."""


@data.command(short_help="Show what a data set holds, without reading it all.")
@click.argument("path")
@unit_option
def show(path, unit) -> None:
    """Show what the data set at PATH holds, what was inferred from its shards, and what is left aside.

    PATH is a folder of shards, one shard, or a pattern in quotes ("data/train*.tfrecord").
    """
    from dmlkit.data import open_dataset
    from dmlkit.metrics import FEWEST_FOR_A_TEST

    dataset = open_dataset(path, unit=unit)
    features = ", ".join(f"{name} {each.size:,} ({each.coding})" for name, each in dataset.features.items())
    click.echo(f"{dataset.name}: {dataset.level} level, {features}, {dataset.num_classes:,} classes")
    carried = "labels" if unit == "video" else "ratings"
    for split, shards in dataset.splits.items():
        labels = "" if split in dataset.labelled else f", without {carried}"
        videos = dataset.num_videos(split)
        few = split in ("tuning", "validate") and videos < FEWEST_FOR_A_TEST
        if unit == "segment":
            labels = f", {counted(dataset.num_examples(split), unit)}{labels}"
        warning = f"; fewer than {FEWEST_FOR_A_TEST} videos: too few for intervals and tests" * few
        files = counted(len(shards), "shard")
        click.echo(f"  {split:9} {counted(videos, 'video'):>16} in {files}{labels}{warning}")
    for note in dataset.notes:
        click.echo(f"  {note}")


@data.command(short_help="Read every record; report faults and counts.")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("--jobs", type=AT_LEAST_ONE, metavar="N", help="Processes.  [default: as worth it]")
@number("--faults", "faults", 20, "Show so many faults of a data set in full; all are counted.", least=0)
@click.option("--json", "as_json", is_flag=True, help="Everything, every fault, for other programs.")
def check(paths, jobs, faults, as_json) -> None:
    """Read every record of the data sets, or shards, at PATH... (as of `show`): checksums, contents, counts.

    Reports what is wrong with which record of which file, at which byte; which layout and release it is; how many
    frames and labels a video has, which classes occur and how many segments are rated; what was converted, cut or left
    aside; and why the data set cannot be opened, or an id not be written with predictions. Memory: 24 bytes a video, to
    find repeated ids.

    A file cut exactly between two records looks whole. It is found where dataset.toml counts the records of each shard
    (data sets made by synthesize and import do), or by the hashes of `dmlkit data download --verify`.

    Ends with 0 where nothing is wrong, 3 where anything is, 2 where it was called wrongly.
    """
    from dmlkit.data.check import check as check_paths

    report = check_paths(paths, jobs=jobs, keep=None if as_json else faults, progress=True)
    click.echo(json.dumps(report.to_record(), indent=2) if as_json else report.text(faults=faults))
    if not report.whole:
        sys.exit(DataError.exit_code)


@data.command(short_help="Fetch YouTube-8M, or a share of it; each file is verified by its MD5.")
@click.argument("partition")
@click.argument("out", type=FOLDER)
@click.option("--split", "splits", multiple=True, type=SPLIT, help="Only this split; repeatable.")
@click.option("--shards", default="1/1", metavar="PART/PARTS", help="1/100 is the first of a hundred parts.")
@click.option("--mirror", default="us", metavar="NAME|URL", help="us, eu, asia, or https://host/folder.")
@click.option("--jobs", default=4, type=click.IntRange(1, 64), metavar="N", help="Files at a time.")
@click.option("--verify", is_flag=True, help="Hash every file again, also those found right before.")
def download(partition, out, **options) -> None:
    """Fetch a PARTITION of YouTube-8M into the folder OUT; every file is verified by its MD5.

    \b
    2/frame   2018: a vector a second: 1.53 TB
    2/video   2018: a vector a video: 31 GB
    3/frame   2019: as 2/frame, validate (segments rated by people) and test only

    The first hundredth of the training frames, about 11 GB:

    \b
    dmlkit data download 2/frame yt8m --split train --shards 1/100

    The same command continues where one stopped, and fetches only what is missing. Names of partitions, shares and
    files are those of YouTube-8M's own downloader, so that what that fetched is recognised.

    Ends with 0 where every file is there and right, 3 where any is missing or wrong (it lists them), 2 where it was
    called wrongly or the disk is full, 130 after Ctrl-C.
    """  # noqa: D301
    from dmlkit.data.download import LISTED, IncompleteDownload
    from dmlkit.data.download import download as fetch

    try:
        with resumable():
            done = fetch(partition, out, progress=True, **options)
    except IncompleteDownload as incomplete:
        if len(incomplete.missing) > LISTED:  # the message names these few
            for name, reason in incomplete.missing.items():
                click.echo(f"{name}: {reason}", err=True)
        raise
    files = f"{counted(done.files, 'file')}, {done.fetched:,} of them new"
    click.echo("\n".join([*done.notes, f"Complete and verified in {done.path}: {files}."]))


class _WithFormats(click.Command):
    """A command whose help ends with the formats that can be imported, as their module documents them."""

    def format_epilog(self, ctx, formatter) -> None:
        from dmlkit.data import importing

        self.epilog = importing.__doc__.partition("\n\n")[2]
        super().format_epilog(ctx, formatter)


@data.command("import", cls=_WithFormats, short_help="Make a data set of your own features.")
@click.argument("sources", nargs=-1, required=True, type=LOCAL, metavar="SOURCE...")
@click.option("--out", required=True, type=LOCAL, help="Folder to make; it appears when it is finished.")
@click.option("--labels", type=LOCAL, metavar="FILE", help="CSV: id, and labels, split or text.")
@click.option(
    "--classes", type=LOCAL, metavar="RUN|DATASET|FILE", help="Classes as there; FILE: vocabulary, or names."
)
@click.option("--num-classes", type=AT_LEAST_ONE, metavar="N", help="[default: as named, or as labels show]")
@click.option("--name", help="What reports call the data set.  [default: the folder's]")
@click.option(
    "--split", default="train=0.8,tuning=0.1,validate=0.1", metavar="SHARES", help="By a hash of the id."
)
@click.option("--level", metavar="LEVEL", help="frame, or video: their mean.  [default: as the arrays]")
@click.option("--coding", metavar="CODING", help="byte, or float.  [default: byte at frame level]")
@click.option("--allow-clipping", is_flag=True, help="Clip to [-2, 2] also more than 1 % of the values.")
@click.option("--modalities", metavar="A,B", help="Those to take.  [default: all]")
@click.option("--missing", default="refuse", metavar="RULE", help="A modality not there: refuse, or silence.")
@number("--records-per-shard", "records_per_shard", 256, "Videos a file.")
def import_(sources, out, modalities, classes, num_classes, **settings) -> None:
    """Make a data set of your own features, in YouTube-8M's layout, so that it can be trained and predicted on.

    \b
    dmlkit data import features.npz --out mine
    dmlkit data import folder/ --labels labels.csv --out mine
    dmlkit data import clips/ --split test=1 --classes runs/attention --out mine

    The last only to predict on, with a run's classes as they are numbered there. What a SOURCE may be is listed
    below. Where something is wrong with one, nothing is written, and it ends with 3; with 2 where it was called
    wrongly.
    """  # noqa: D301
    from dmlkit.data import import_features

    names = None if modalities is None else [name.strip() for name in modalities.split(",")]
    settings |= _classes_of(classes, num_classes) | {"modalities": names}
    _show_import(import_features(sources, out, progress=True, **settings))


def _classes_of(classes: str | None, num_classes: int | None) -> dict:
    """The arguments of an import, where the classes may be those of a run."""
    from dmlkit.runs import RECORD, load_run

    if classes and (run := Path(classes).expanduser() / RECORD).is_file():
        learned = load_run(run.parent).record["data"]
        if num_classes not in (None, learned["num_classes"]):
            found = learned["num_classes"]
            raise UsageError(f"{classes} has {found} classes, --num-classes is {num_classes}. Leave it out.")
        classes, num_classes = learned["class_names"] or (), learned["num_classes"]
    return {"classes": classes, "num_classes": num_classes}


def _show_import(done) -> None:
    """Where the data set is, and the notes on it."""
    splits = ", ".join(f"{split} {count:,}" for split, count in done.videos.items())
    click.echo(f"The data set is in {done.folder}: {counted(sum(done.videos.values()), 'video')} ({splits}).")
    for note in done.notes:
        click.echo(f"  {note}")


@data.command(short_help="Make a data set of video and audio files.")
@click.argument("videos", nargs=-1, required=True, type=LOCAL, metavar="VIDEO...")
@click.option("--pictures", metavar="NAME|FILE", help="Extractor of pictures, or none.  [default: classic]")
@click.option("--sound", metavar="NAME|FILE", help="Extractor of sound, or none.  [default: classic]")
@click.option("--fps", type=float, metavar="N", help="Frames a second, of pictures and sound.  [default: 1]")
@click.option("--weights", metavar="imagenet|none|FILE", help="Of a Keras class.  [default: imagenet]")
@click.option("--size", type=int, metavar="N", help="Pixels a side, for a model.  [default: its own]")
@click.option("--scale", metavar="SCALE", help="Of a model file's pixels: 0..1, -1..1, 0..255, imagenet.")
@click.option("--pca", type=AT_LEAST_ONE, metavar="N", help="PCA and whitening to N values a modality.")
@click.option("--coding", metavar="CODING", help="byte as YouTube-8M, or float.  [default: byte]")
@click.option("--like", type=LOCAL, metavar="RUN|DATASET", help="All that as there, PCA and coding too.")
@click.option("--jobs", type=AT_LEAST_ONE, metavar="N", help="Processes.  [default: the cores]")
@click.option("--on-problem", default="refuse", metavar="RULE", help="Broken, silent files: refuse, or skip.")
def extract(videos, out, classes, num_classes, like, **settings):
    """Make a data set of the VIDEOs, files or folders of them, with thumbnails for the explorer.

    \b
    dmlkit data extract clips/ --labels labels.csv --out mine
    dmlkit data extract clips/ --labels labels.csv --out mine --pictures MobileNetV3Small --pca 128
    dmlkit data extract clips/ --labels labels.csv --out mine --pictures model.onnx --scale=-1..1

    The id of a video is its file's name without the ending. `classic`, the default, needs no weights; it is a baseline.
    Other extractors are the classes of keras.applications, for pictures, and models of your own: FILE.keras, FILE.onnx,
    or a folder with a SavedModel. Labels, splits and classes are those of `dmlkit data import`.

    After Ctrl-C, a full disk or files that cannot be extracted, the same command continues: what is finished stays in
    OUT.partial. It ends with 3 where files are wrong, with 2 where it was called wrongly.
    """  # noqa: D301
    from dmlkit.data import open_dataset
    from dmlkit.extraction.extract import extract_features
    from dmlkit.extraction.extractors import Recipe
    from dmlkit.runs import RECORD, load_run

    fields = ("fps", "pictures", "sound", "weights", "size", "scale", "coding")
    about = {name: value for name in fields if (value := settings.pop(name)) is not None}
    if like:
        run = load_run(like).record["data"] if (Path(like) / RECORD).is_file() else {}
        ours = run.get("extractor") if run else open_dataset(like).extractor
        if about or not ours:
            wanted = "takes a run or a data set of extracted features, and no other option of an extractor"
            raise UsageError(f"--like {wanted}. Received: {like}.")
        about = ours
    settings |= _classes_of(classes, num_classes) | {"recipe": Recipe.of(about), "folder": like}
    with resumable():
        _show_import(extract_features(videos, out, progress=True, **settings))


# The other options are those of `import`.
_shared = ("out", "labels", "classes", "num_classes", "name", "split", "allow_clipping", "missing")
extract.params[1:1] = [each for each in import_.params if each.name in _shared]


@data.command(short_help="Generate a data set in YouTube-8M's format.")
@click.argument("out", type=FOLDER)
@click.option("--seed", type=SEED, default=0, help="The same bytes for the same seed.")
@click.option("--full", is_flag=True, help="1,024 + 128 dimensions and up to 300 frames.")
@number("--train", "train", 2000, "Videos to train on.")
@number("--validate", "validate", 1000, "Videos to validate on.")
@number("--test", "test", 200, "Videos without labels.", least=0)
@click.option("--text", is_flag=True, help="A third modality: titles and keywords; some name a class.")
@click.option("--segments", is_flag=True, help="Also OUT/segments: the videos with rated segments.")
def synthesize(out, full, **settings) -> None:
    """Generate a data set in YouTube-8M's format at OUT; its classes come in documented kinds."""
    from dmlkit.data import DEMO_FRAMES, DEMO_SIZES, FULL_FRAMES, FULL_SIZES
    from dmlkit.data import synthesize as generate

    sizes, frames = (FULL_SIZES, FULL_FRAMES) if full else (DEMO_SIZES, DEMO_FRAMES)
    path = generate(out, sizes=sizes, max_frames=frames, **settings)
    click.echo(f"The generated data set is in {path} (frame level) and {path / 'video'} (video level).")
    if settings["segments"]:
        click.echo(f"The same videos with rated segments are in {path / 'segments'}.")


@click.group()
def submission() -> None:
    """Check files of predictions in YouTube-8M's submission format."""


@submission.command("check")
@click.argument("file", type=FOLDER)
@data_option
@click.option("--split", default="test", help="Split of the data set that it belongs to.")
@unit_option
@click.option("--json", "as_json", is_flag=True, help="For other programs.")
def check_submission(file, data, split, unit, as_json) -> None:
    """Check FILE against a split of a data set, and show every fault with its line.

    A fault by which a line is not in the form, though what it means is clear (another end of line, needless quotation
    marks or blanks, pairs in another order), is one too; `dmlkit evaluate --submission` measures such a file.

    With --unit segment, FILE lists segments class by class, as YouTube-8M 2019 had it.

    Ends with 0 where there is none, else with 3.
    """
    if unit == "segment":
        from dmlkit.segment_submission import check as check_file
    else:
        from dmlkit.submission import check as check_file

    (videos, faults), counts, found, unclear = check_file(file, data=data, split=split), Counter(), [], 0
    for fault in faults:
        counts[fault.kind] += 1
        unclear += not fault.clear
        if as_json:
            found.append(fault._asdict())
        else:  # as they are found: there may be millions
            click.echo(f"{'' if fault.line is None else f'line {fault.line}: '}{fault.kind}: {fault.what}")
    if as_json:
        record = {"file": str(file), "split": split, "videos": videos, "faults": found}
        click.echo(json.dumps(record | {"counts": dict(counts.most_common()), "ok": not counts}, indent=2))
    elif not counts:
        what = "segments of" if unit == "segment" else "a line for each of"
        click.echo(f"{file} is whole: {what} the {videos:,} videos of '{split}'.")
    else:
        click.echo(f"{counted(counts.total(), 'fault')} in {file}:")
        for kind, count in counts.most_common():
            click.echo(f"  {count:>9,}  {kind}")
        if not unclear:
            click.echo("All the same it is clear: `dmlkit evaluate --submission` measures the file.")
    if counts:
        sys.exit(DataError.exit_code)


COMMANDS = (data, submission)
