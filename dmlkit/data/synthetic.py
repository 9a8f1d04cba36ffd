"""The generated data set, written to a folder in YouTube-8M's format, at both levels.

OUT/dataset.toml, OUT/frame/train0000.tfrecord ...         frame level
OUT/video/dataset.toml, OUT/video/train0000.tfrecord ...   video level: the same videos, the mean of their frames
OUT/vocabulary.csv                                         the classes' names, counts and kinds
OUT/truth-train.json, OUT/truth-validate.json              video id → class → the frames that made the label
OUT/generated.json                                         the settings it is a function of
"""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np

from dmlkit.data import synthetic_kinds as kinds
from dmlkit.data.coding import OFFSET, SCALE
from dmlkit.data.schema import TEXT, TEXT_SIZE, Feature
from dmlkit.data.synthetic_kinds import DEMO_FRAMES, DEMO_SIZES
from dmlkit.data.synthetic_settings import Settings
from dmlkit.data.synthetic_videos import Templates, Video, make_templates, make_video
from dmlkit.errors import UsageError

_DESCRIPTION = "dataset.toml"
_SETTINGS = "generated.json"
_VOCABULARY = "vocabulary.csv"
# How many shards the training part has; the other parts' shards hold as many videos as its.
_TRAIN_SHARDS = 20


def synthesize(
    out: str | os.PathLike,
    *,
    seed: int = 0,
    train: int = 2000,
    validate: int = 1000,
    test: int = 200,
    sizes: Mapping[str, int] = DEMO_SIZES,
    min_frames: int | None = None,
    max_frames: int = DEMO_FRAMES,
    text: bool = False,
) -> Path:
    """Generate a data set in YouTube-8M's format whose classes come in stated kinds (`synthetic_kinds.KINDS`).

    The same settings give the same bytes. The folder appears when it is finished; one that is already there with
    the same settings is left as it is. Full dimensions: ``sizes=FULL_SIZES, max_frames=FULL_FRAMES``.

    Args:
        out: The folder to make. It holds the frame level, its folder ``video`` the video level.
        seed: Of everything random.
        train: Videos of the training part, in 20 shards.
        validate: Videos of the validation part.
        test: Videos of the test part, which has no labels; 0 for none.
        sizes: Values a frame for ``"rgb"`` and ``"audio"``.
        min_frames: Frames of the shortest video; None for half of the longest.
        max_frames: Frames of the longest video.
        text: Whether videos have texts, a title and keywords, as a third modality (`synthetic_texts`). The frames and
            labels are the same with them and without.

    Returns:
        The folder.

    Raises:
        UsageError: Settings that cannot be had, or a folder that holds something else.

    Differs from the paper: its data are YouTube-8M's; these are generated, and say so in their name.
    """
    settings = Settings(
        seed=seed,
        train=train,
        validate=validate,
        test=test,
        sizes=sizes,
        min_frames=min_frames,
        max_frames=max_frames,
        text=text,
    )
    if "://" in os.fspath(out):
        raise UsageError(
            f"A data set is generated into a local folder. Received: {out}. Copy it there afterwards."
        )
    out = Path(out)
    if _finished(out, settings):
        return out
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.parent / f".{out.name}.{os.getpid()}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        _write(partial, settings)
        try:
            partial.rename(out)
        except OSError:
            # Another process may have made the same data set meanwhile; then its folder is as good as ours.
            if not _finished(out, settings):
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return out


def read_settings(folder: str | os.PathLike) -> Settings | None:
    """The settings a finished generated data set was made from; None if the folder is not one of this version."""
    folder = Path(folder)
    if not (folder / _DESCRIPTION).is_file() or not (folder / _SETTINGS).is_file():
        return None
    said = json.loads((folder / _SETTINGS).read_text())
    return Settings(**said["settings"]) if said["version"] == kinds.VERSION else None


def _finished(out: Path, settings: Settings) -> bool:
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    found = read_settings(out) if out.is_dir() else None
    if found == settings:
        return True
    what = f"a data set generated from other settings ({found})" if found else "something else"
    raise UsageError(
        f"{out} already holds {what}, and nothing is overwritten. Name another folder, or remove it first."
    )


def _write(folder: Path, settings: Settings) -> None:
    templates = make_templates(settings)
    counts: Counter[int] = Counter()
    held: dict[str, int] = {}
    splits = {"train": settings.train, "validate": settings.validate, "test": settings.test}
    splits = {split: videos for split, videos in splits.items() if videos}
    per_shard = -(-settings.train // _TRAIN_SHARDS)
    truth_files = {}
    for split, videos in splits.items():
        truth: dict[str, dict[int, list[int]]] = {}
        for shard, start in enumerate(range(0, videos, per_shard)):
            made = list(_videos(settings, templates, split, range(start, min(start + per_shard, videos))))
            name = f"{split}{shard:04d}.tfrecord"
            _write_shards(folder, name, made, labelled=split != "test")
            held[name] = len(made)
            truth |= {video.id: {label: [*frames] for label, frames in video.truth.items()} for video in made}
            if split == "train":
                counts.update(label for video in made for label in video.labels)
        if split != "test":
            truth_files[split] = f"truth-{split}.json"
            (folder / truth_files[split]).write_text(json.dumps(truth, separators=(",", ":")))
    for level in (folder, folder / "video"):
        (level / _VOCABULARY).write_bytes(_vocabulary(counts))
    said = asdict(settings)
    if not settings.text:
        del said["text"]  # a data set without texts is what it was before there were any, to the byte
    told = {"version": kinds.VERSION, "settings": said}
    (folder / _SETTINGS).write_text(json.dumps(told, indent=2) + "\n")
    _describe(folder, settings, splits, per_shard, truth_files, held)


def _videos(settings: Settings, templates: Templates, split: str, numbers: range) -> Iterator[Video]:
    return (make_video(settings, templates, part=split, number=number) for number in numbers)


def _write_shards(folder: Path, name: str, videos: list[Video], *, labelled: bool) -> None:
    from dmlkit.data.records import serialize_frames, serialize_video, write_shard

    frame_level, video_level = [], []
    for video in videos:
        labels = video.labels if labelled else None
        said = {"video_id": video.id, "labels": labels, "texts": {TEXT: video.texts} if video.texts else None}
        frame_level.append(serialize_frames(**said, frames=video.frames))
        means = {f"mean_{modality}": _mean(frames) for modality, frames in video.frames.items()}
        video_level.append(serialize_video(**said, features=means))
    write_shard(folder / "frame" / name, frame_level)
    write_shard(folder / "video" / name, video_level)


def _mean(frames: np.ndarray) -> np.ndarray:
    """The mean of the dequantised frames, (time, size) → (size,). Bytes add up exactly, so no order of adding shows."""
    mean = frames.sum(axis=0, dtype=np.int64) / len(frames)
    return (mean * SCALE + OFFSET).astype(np.float32)


def _vocabulary(counts: Counter[int]) -> bytes:
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\n")
    table.writerow(("Index", "TrainVideoCount", "KnowledgeGraphId", "Name", "Kind"))
    for index, (name, kind) in enumerate(zip(kinds.class_names(), kinds.RANKS, strict=True)):
        table.writerow((index, counts[index], f"/generated/{index:02d}", name, kind))
    return text.getvalue().encode()


def _describe(
    folder: Path,
    settings: Settings,
    splits: Mapping[str, int],
    per_shard: int,
    truth_files: Mapping[str, str],
    held: Mapping[str, int],
) -> None:
    """Write both dataset.toml; the one that makes the folder a data set comes last."""
    from dmlkit.data.declaration import write_dataset_toml

    for level, root, shards, truth in (
        ("video", folder / "video", "", None),
        ("frame", folder, "frame/", truth_files),
    ):
        byte = level == "frame"
        features = {
            name: Feature(name, size, "byte" if byte else "float", name if byte else f"mean_{name}")
            for name, size in settings.sizes.items()
        }
        features = {name: features[name] for name in ("rgb", "audio")}
        if settings.text:
            features[TEXT] = Feature(TEXT, TEXT_SIZE, TEXT, TEXT)
        write_dataset_toml(
            str(root),
            name=f"generated data{' with texts' if settings.text else ''}, {level} level, seed {settings.seed}",
            level=level,
            features=features,
            num_classes=kinds.NUM_CLASSES,
            splits={split: [f"{shards}{split}*.tfrecord"] for split in splits},
            vocabulary=_VOCABULARY,
            generated=True,
            records_per_shard=per_shard,
            truth=truth,
            counts={shards + name: count for name, count in held.items()},
        )
