"""The same videos in every form that can be read: a run scores them the same, or they are refused; never otherwise.

What is right comes from the run's Keras model on batches that numpy stacks, by ids and names of classes.
"""

import csv
import gzip
import json
import zlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import dmlkit
from dmlkit.data import dequantize, import_features, serialize_frames, write_shard
from dmlkit.errors import DmlkitError

CLASSES = ("Cat", "Dog", "Musical keyboard", "Crème brûlée", "R&B", "Car, truck")
SIZES = {"rgb": 12, "audio": 5}
SPLITS = ("train", "tuning", "validate")


def make_videos(rng, count):
    """Id → (modality → bytes, names of classes)."""
    videos = {}
    for number in range(count):
        length = int(rng.integers(1, 7))
        arrays = {name: rng.integers(0, 256, (length, size), np.uint8) for name, size in SIZES.items()}
        classes = sorted(rng.choice(CLASSES, int(rng.integers(1, 4)), replace=False).tolist())
        videos[f"vidéo {number}" if number % 5 == 0 else f"v{number}"] = arrays, classes
    return videos


def split_of(number):
    return SPLITS[number % len(SPLITS)]


# Shards, as others write them: coding, compression, and an order of the classes of their own.


def write_shards(folder, videos, rng, *, floats=False, compress=None):
    order = rng.permutation(CLASSES).tolist()
    for split in SPLITS:
        chosen = [name for number, name in enumerate(videos) if split_of(number) == split]
        records = []
        for name in chosen:
            arrays, classes = videos[name]
            frames = {each: dequantize(rows) if floats else rows for each, rows in arrays.items()}
            labels = [order.index(each) for each in classes]
            records.append(serialize_frames(video_id=name, labels=labels, frames=frames))
        path = folder / f"{split}0.tfrecord"
        write_shard(path, records)
        if compress:
            path.write_bytes(compress(path.read_bytes()))
    with (folder / "vocabulary.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("Index", "Name"), *enumerate(order)])
    return folder


# Features to import, and labels in each notation.


def save_each(folder, arrays_of):
    for name, arrays in arrays_of.items():
        np.savez(folder / f"{name}.npz", **arrays)


def save_joined(folder, arrays_of):
    lengths = [len(arrays["rgb"]) for arrays in arrays_of.values()]
    joined = {each: np.concatenate([arrays[each] for arrays in arrays_of.values()]) for each in SIZES}
    np.savez(folder / "all.npz", ids=[*arrays_of], num_frames=lengths, **joined)


def save_by_modality(folder, arrays_of):
    for name, arrays in arrays_of.items():
        for each, rows in arrays.items():
            (folder / each).mkdir(exist_ok=True)
            np.save(folder / each / f"{name}.npy", rows)


def save_by_suffix(folder, arrays_of):
    for name, arrays in arrays_of.items():
        for each, rows in arrays.items():
            np.save(folder / f"{name}_{each}.npy", rows)


def save_parquet(folder, arrays_of):
    columns = {each: [arrays[each].tolist() for arrays in arrays_of.values()] for each in SIZES}
    kinds = {
        each: pa.uint8() if rows[each].dtype == np.uint8 else pa.float32()
        for rows in arrays_of.values()
        for each in SIZES
    }
    arrays = {each: pa.array(rows, pa.list_(pa.list_(kinds[each]))) for each, rows in columns.items()}
    pq.write_table(pa.table({"id": [*arrays_of], **arrays}), folder / "all.parquet", write_page_checksum=True)


SAVERS = (save_each, save_joined, save_by_modality, save_by_suffix, save_parquet)
NOTATIONS = {
    "semicolons": ";".join,
    "commas": ",".join,
    "bars": "|".join,
    "json": lambda names: json.dumps(names, ensure_ascii=False),
    "python": str,
    "one column a class": None,
}


def write_labels(path, videos, notation):
    rows = []
    for number, (name, (_, classes)) in enumerate(videos.items()):
        hot = [int(each in classes) for each in CLASSES]
        cells = hot if NOTATIONS[notation] is None else [NOTATIONS[notation](classes)]
        rows.append([name, *cells, split_of(number)])
    columns = CLASSES if NOTATIONS[notation] is None else ["labels"]
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["id", *columns, "split"], *rows])
    return path


def imported(folder, videos, rng, run, *, saver, notation, floats, coding, classes):
    """A data set out of features, and the settings it was imported with."""
    sources = folder / "sources"
    sources.mkdir()
    saver(
        sources,
        {
            name: {k: dequantize(v) if floats else v for k, v in arrays.items()}
            for name, (arrays, _) in videos.items()
        },
    )
    labels = write_labels(folder / "labels.csv", videos, notation)
    if classes == "file":
        classes = folder / "names.txt"
        classes.write_text("\n".join(rng.permutation(CLASSES).tolist()), encoding="utf-8")
    elif classes == "run":
        classes = run.record["data"]["class_names"]
    out = folder / "data"
    import_features(sources, out, labels=labels, classes=classes, coding=coding, records_per_shard=4)
    return out


# The run, and what it must say.


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("forms")
    (folder / "shards").mkdir()
    data = write_shards(
        folder / "shards", make_videos(np.random.default_rng(1), 60), np.random.default_rng(1)
    )
    return dmlkit.train("bi-gru-concat", data=data, profile="smoke", out=folder / "run", progress="silent")


def right_scores(run, videos):
    """Id → name of a class → score, at half precision."""
    longest = max(len(arrays["rgb"]) for arrays, _ in videos.values())
    lengths = [len(arrays["rgb"]) for arrays, _ in videos.values()]
    inputs = {"num_frames": np.array(lengths, np.int32)}
    for each, size in SIZES.items():
        inputs[each] = np.zeros((len(videos), longest, size), np.uint8)
        for row, (arrays, _) in zip(inputs[each], videos.values(), strict=True):
            row[: len(arrays[each])] = arrays[each]
    scores = np.asarray(run.model.predict_on_batch(inputs))
    names = run.record["data"]["class_names"]
    return {
        video: dict(zip(names, row, strict=True)) for video, row in zip(videos, scores.tolist(), strict=True)
    }


def check_scores(run, path, videos):
    """Every video is there once, with its classes and its scores, under the data set's own names."""
    dataset, right, found = dmlkit.open_dataset(path), right_scores(run, videos), set()
    for split in SPLITS:
        predictions = dmlkit.predict(run, data=dataset, split=split)
        for video, labels, scores in zip(
            predictions.ids, predictions.labels, predictions.scores, strict=True
        ):
            assert video not in found
            found.add(str(video))
            named = dict(zip(dataset.class_names, scores, strict=True))
            expected = {name: right[video][name] for name in named}
            assert {k: float(v) for k, v in named.items()} == pytest.approx(expected, abs=2e-3)
            assert {dataset.class_names[k] for k in np.flatnonzero(labels)} == set(videos[video][1])
    assert found == set(videos)


SHARDS = {
    "bytes": {},
    "floats": {"floats": True},
    "GZIP": {"compress": gzip.compress},
    "ZLIB": {"compress": zlib.compress, "floats": True},
}


@pytest.mark.parametrize("form", SHARDS)
def test_shards_in_every_form(run, tmp_path, form):
    rng = np.random.default_rng(len(form))
    videos = make_videos(rng, 24)
    check_scores(run, write_shards(tmp_path, videos, rng, **SHARDS[form]), videos)


@pytest.mark.parametrize("trials", [16, pytest.param(400, marks=pytest.mark.nightly)])
def test_features_in_every_form(run, tmp_path, trials):
    rng, accepted = np.random.default_rng(trials), 0
    for trial in range(trials):
        folder, videos = tmp_path / str(trial), make_videos(rng, 24)
        folder.mkdir()
        settings = {
            "saver": SAVERS[trial % len(SAVERS)],
            "notation": list(NOTATIONS)[trial % len(NOTATIONS)],
            "floats": bool(rng.integers(2)),
            "coding": [None, "byte", "float"][rng.integers(3)],
            "classes": [None, "file", "run"][rng.integers(3)],
        }
        try:
            path = imported(folder, videos, rng, run, **settings)
            check_scores(run, path, videos)
        except DmlkitError as error:
            # Commas between names of which one has a comma: refused, where nothing names the classes.
            assert settings["notation"] == "commas" and settings["classes"] is None, (settings, error)
        else:
            accepted += 1
    assert accepted > trials * 0.8
