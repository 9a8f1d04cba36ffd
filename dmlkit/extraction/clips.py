"""One video or audio file as a data set of one video, its features extracted as those that a run was trained on."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import tempfile
import warnings
from dataclasses import replace
from functools import cache
from pathlib import Path

from dmlkit.data import Dataset, open_dataset, serialize_frames, write_dataset_toml, write_shard
from dmlkit.data.schema import MOST_CLIPPED, Feature, count_clipped, quantize
from dmlkit.data.storage import readable_path
from dmlkit.errors import DataError, UsageError, plain_text
from dmlkit.extraction.decoding import MEDIA
from dmlkit.extraction.extractors import Extractor, Recipe
from dmlkit.runs import Run, as_run

CLIP = "test"  # the split of the one video, without labels


def is_clip(data: object) -> bool:
    """Whether this is the path of a video or audio file, by its suffix."""
    return (
        isinstance(data, str | os.PathLike) and Path(data).suffix.lower() in MEDIA and not os.path.isdir(data)
    )


def clip_dataset(run: Run | str | os.PathLike, path: str | os.PathLike) -> Dataset:
    """One video or audio file as a data set that a run reads: its split ``"test"`` holds one video, without labels.

    Its features are those of the run's recorded extractor, its classes the run's; its pictures and the file itself can
    be shown by `dmlkit.explore`. They are kept in a temporary folder until the process ends, and an unchanged file is
    extracted once; the file itself stays where it is.

    Args:
        run: A training, or its folder.
        path: The file. Its name without the suffix is the video's id.

    Raises:
        UsageError: The run's record names no extractor, as its features came from elsewhere.
        DataError: The file is missing, damaged, or has no pictures or sound where the run reads them.
    """
    run, path = as_run(run), Path(readable_path(path)).absolute()
    trained_on = run.record["data"]
    if not (recipe := trained_on.get("extractor")):
        raise UsageError(
            f"{run.path} cannot read {path.name}: its record names no extractor, as the features it was trained on "
            "came from elsewhere. Extract the file as those were, import it (`dmlkit data import --split test=1`) and "
            "name that by --data; or train a run on data of `dmlkit data extract`."
        )
    about = path.stat() if path.is_file() else None  # what is missing is reported where it is read
    version = about and (about.st_mtime_ns, about.st_size)
    made = _extract(run.path, json.dumps(recipe), path, version)
    dataset = open_dataset(made, num_classes=trained_on["num_classes"])
    names = trained_on["class_names"]
    named = {"class_names": tuple(names), "named": True} if names else {}
    return replace(dataset, name=path.name, media=(path,), **named)


@cache
def _extract(run: Path, settings: str, path: Path, version: tuple | None) -> Path:
    """Extract a version of a file by the settings, in JSON, of the run in a folder; the folder of the data set."""
    recipe, video = Recipe.of(json.loads(settings), error=DataError), plain_text(path.stem)
    found = Extractor(recipe.model_copy(update={"coding": "float"}), run).extract(path)
    frames = found.features
    if recipe.coding == "byte":
        for name, values in frames.items():
            if (share := count_clipped(values) / values.size) > MOST_CLIPPED:
                what = f"{path.name}, {name}: {share:.1%} of the values were clipped to [-2, 2], which bytes hold"
                warnings.warn(f"{what}. It may be unlike all that the run was trained on.", stacklevel=2)
        frames = {name: quantize(values) for name, values in frames.items()}
    features = {name: Feature(name, each.shape[1], recipe.coding, name) for name, each in frames.items()}
    sprite = {"path": "{id}.webp"} | dict(zip(("width", "height", "columns"), found.tile, strict=True))
    folder = Path(tempfile.mkdtemp(prefix="dmlkit-clip-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    write_shard(folder / f"{CLIP}.tfrecord", [serialize_frames(frames=frames, video_id=video, labels=None)])
    if found.thumbnails:
        (folder / f"{video}.webp").write_bytes(found.thumbnails)
    tables = {"thumbnails": sprite if found.thumbnails else None, "extractor": recipe.table()}
    write_dataset_toml(str(folder), level="frame", features=features, **tables)
    return folder
