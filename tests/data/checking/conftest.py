"""Small data sets of each layout, and what is wrong with them as (file, record, byte, kind)."""

from pathlib import Path

import numpy as np
import pytest

from dmlkit.data import Feature, serialize_frames, serialize_video, write_dataset_toml, write_shard

RGB, AUDIO, CLASSES = 6, 4, 5


def frame_record(number=0, labels=(1,), frames=3, **other):
    matrices = {"rgb": np.full((frames, RGB), 7, np.uint8), "audio": np.full((frames, AUDIO), 8, np.uint8)}
    return serialize_frames(video_id=f"v{number}", labels=labels, frames={**matrices, **other})


def float_record(number=0, labels=(1,), frames=2, **other):
    matrices = {"rgb": np.full((frames, RGB), number / 8), "audio": np.full((frames, AUDIO), -number / 8)}
    return serialize_frames(video_id=f"v{number}", labels=labels, frames={**matrices, **other})


def video_record(number=0, labels=(1,), **other):
    features = {"mean_rgb": np.full(RGB, number / 8), "mean_audio": np.ones(AUDIO), **other}
    return serialize_video(video_id=f"v{number}", labels=labels, features=features)


def clip_record(number=0, labels=(1,), frames=2):
    sound = {"audio_embedding": np.full((frames, 128), number % 251, np.uint8)}
    return serialize_frames(video_id=f"v{number}", labels=labels, frames=sound, id_key="video_id")


LAYOUTS = {
    "frame bytes": frame_record,
    "frame floats": float_record,
    "video": video_record,
    "clips": clip_record,
}


def write_set(folder, make, *, shards=3, each=4, declared=False):
    """Shards of good records, no id twice; a dataset.toml with counts where asked for. Returns the shards' paths."""
    paths, numbers = [], iter(range(shards * each))
    for shard in range(shards):
        paths.append(Path(folder) / f"train{shard}.tfrecord")
        write_shard(paths[-1], [make(next(numbers)) for _ in range(each)])
    if not declared:
        (Path(folder) / "vocabulary.csv").write_text(f"Index,Name\n0,first\n{CLASSES - 1},last\n")
        return paths
    video = make is video_record
    sizes = {"audio_embedding": 128} if make is clip_record else {"rgb": RGB, "audio": AUDIO}
    coding = "byte" if make in (frame_record, clip_record) else "float"
    write_dataset_toml(
        str(folder),
        name="made by hand",
        level="video" if video else "frame",
        features={n: Feature(n, size, coding, f"mean_{n}" if video else n) for n, size in sizes.items()},
        num_classes=CLASSES,
        splits={"train": ["train*.tfrecord"]},
        counts={path.name: each for path in paths},
    )
    return paths


def offsets(records):
    """Where each record begins, and where the file ends."""
    return np.cumsum([0, *(len(record) + 16 for record in records)]).tolist()


@pytest.fixture
def places():
    """A function: the faults of a report as (file's name, record, byte, kind)."""

    def of(report):
        return [
            (Path(fault.shard).name, fault.record, fault.byte, fault.kind)
            for each in report.sets
            for fault in each.faults
        ]

    return of
