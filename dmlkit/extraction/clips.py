"""One video or audio file as a data set of one video, its features extracted as those that a run was trained on."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path

from dmlkit.data import Dataset, open_dataset, serialize_frames, write_dataset_toml, write_shard
from dmlkit.data.schema import Feature
from dmlkit.data.storage import new_folder, readable_path
from dmlkit.errors import DataError, UsageError, plain_text
from dmlkit.extraction.decoding import MEDIA
from dmlkit.extraction.extractors import Extractor, Recipe
from dmlkit.runs import Run, as_run

CLIP = "test"  # the split of the one video, without labels
CODINGS = {"uint8": "byte", "float32": "float"}


def is_clip(data: object) -> bool:
    """Whether this is the path of a video or audio file, by its suffix."""
    return (
        isinstance(data, str | os.PathLike) and Path(data).suffix.lower() in MEDIA and not os.path.isdir(data)
    )


def clip_dataset(
    run: Run | str | os.PathLike, path: str | os.PathLike, folder: str | os.PathLike | None = None
) -> Dataset:
    """One video or audio file as a data set that a run reads: its split ``"test"`` holds one video, without labels.

    Its features are those of the run's recorded extractor, its classes the run's; its pictures and the file itself can
    be shown by `dmlkit.explore`. The file stays where it is.

    Args:
        run: A training, or its folder.
        path: The file. Its name without the suffix is the video's id.
        folder: Where the features and the pictures are written; it must not exist. None for a temporary folder, which
            is removed when the process ends; an unchanged file is then extracted once.

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
    made = _extract(run.path, json.dumps(recipe), path, version, folder and Path(folder))
    dataset = open_dataset(made, num_classes=trained_on["num_classes"])
    names = trained_on["class_names"]
    named = {"class_names": tuple(names), "named": True} if names else {}
    return replace(dataset, name=path.name, media=(str(path),), **named)


@cache
def _extract(run: Path, recipe: str, path: Path, version: tuple | None, folder: Path | None) -> Path:
    """Extract a version of a file by the recipe, in JSON, of the run in a folder; the folder of the data set."""
    found, video = (
        Extractor(Recipe.of(json.loads(recipe), error=DataError), run).extract(path),
        plain_text(path.stem),
    )
    if folder is None:
        parent = tempfile.mkdtemp(prefix="dmlkit-clip-")
        atexit.register(shutil.rmtree, parent, ignore_errors=True)
        folder = Path(parent, "data")
    features = {
        name: Feature(name, each.shape[1], CODINGS[each.dtype.name], name)
        for name, each in found.features.items()
    }
    sprite = {"path": "thumbnails/{id}.webp"} | dict(
        zip(("width", "height", "columns"), found.tile, strict=True)
    )
    with new_folder(folder) as partial:
        record = serialize_frames(frames=found.features, video_id=video, labels=None)
        write_shard(partial / f"{CLIP}.tfrecord", [record])
        if found.thumbnails:
            (partial / "thumbnails").mkdir()
            (partial / "thumbnails" / f"{video}.webp").write_bytes(found.thumbnails)
        tables = {"thumbnails": sprite if found.thumbnails else None, "extractor": json.loads(recipe)}
        write_dataset_toml(str(partial), level="frame", features=features, **tables)
    return folder
