"""Rated segments: records by TensorFlow's own messages, read as the starter code's reader reads them, or refused.

And the generated ratings: as the truth says and as the patterns in the frames show.
"""

import json

import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner
from oracle import NORMS, SHORT_EVENT, STEADY_AUDIO, STEADY_VISUAL, Oracle
from sklearn.metrics import roc_auc_score

from dmlkit.cli import app
from dmlkit.data import open_dataset, read_rated, read_settings, synthesize, write_shard
from dmlkit.data.check import check
from dmlkit.data.schema import dequantize
from dmlkit.data.synthetic import ORDER, TOGETHER, classes_of
from dmlkit.errors import DataError, UsageError

CLASSES, SIZES = 6, {"rgb": 7, "audio": 3}
COLUMNS = ("segment_start_times", "segment_end_times", "segment_labels", "segment_scores")


def record(video, frames, rows=None, labels=(0,), **columns):
    """A record of `3/frame` by TensorFlow's protos; `rows` are ratings (start, end, class, score)."""
    example = tf.train.SequenceExample()
    context, lists = example.context.feature, example.feature_lists.feature_list
    context["id"].bytes_list.value.append(video.encode())
    if labels is not None:
        context["labels"].int64_list.value.extend(labels)
    if rows is not None:
        columns = dict(zip(COLUMNS, [*zip(*rows, strict=True)] or [()] * 4, strict=True)) | columns
        for name, values in columns.items():
            kind = "float_list" if name == "segment_scores" else "int64_list"
            getattr(context[name], kind).SetInParent()
            getattr(context[name], kind).value.extend(values)
    for name, size in SIZES.items():
        for row in np.random.default_rng(len(video) + frames).integers(0, 256, (frames, size), np.uint8):
            lists[name].feature.add().bytes_list.value.append(row.tobytes())
    return example.SerializeToString()


def random_record(rng, video):
    """As YouTube-8M has them: some segments, each rated for one class or a few, in no order; one rating twice."""
    frames = int(rng.integers(5, 60))
    starts = rng.choice(np.arange(0, frames - 3, 5), size=min(3, (frames + 1) // 5), replace=False)
    pairs = {(int(s), int(c)) for s in starts for c in rng.choice(CLASSES, rng.integers(1, 4), replace=False)}
    rows = [(start, start + 5, label, float(rng.integers(2))) for start, label in pairs]
    rows = [rows[i] for i in rng.permutation(len(rows))]
    return record(video, frames, [*rows, rows[0]])


def folder_of(folder, shards):
    """A data set: name of a shard → its records."""
    folder.mkdir()
    for name, records in shards.items():
        write_shard(folder / f"{name}.tfrecord", records)
    (folder / "vocabulary.csv").write_text(
        "Index,Name\n" + "".join(f"{k},class {k}\n" for k in range(CLASSES))
    )
    return folder


def as_the_starter_code(data):
    """Id → frames, labels and label weights of each segment, in TensorFlow, by the definition of its reader."""
    sparse = {COLUMNS[0]: tf.int64, COLUMNS[2]: tf.int64, COLUMNS[3]: tf.float32}
    keys = {"id": tf.io.FixedLenFeature([], tf.string)} | {
        k: tf.io.VarLenFeature(t) for k, t in sparse.items()
    }
    frames = {name: tf.io.FixedLenSequenceFeature([], tf.string) for name in SIZES}
    context, lists = tf.io.parse_single_sequence_example(data, keys, frames)
    starts, labels, scores = (context[key].values.numpy() for key in sparse)
    found = {}
    for start in np.unique(starts):
        of_it = starts == start
        indicator, weights = np.zeros((2, CLASSES), np.float32)
        indicator[labels[of_it]], weights[labels[of_it]] = scores[of_it], 1
        frames = {name: tf.io.decode_raw(lists[name], tf.uint8).numpy()[start : start + 5] for name in SIZES}
        found[f"{context['id'].numpy().decode()}:{start}"] = frames, indicator, weights
    return found


def rows_of(batches):
    for batch in batches:
        for i, key in enumerate(batch["id"]):
            frames = {name: batch[name][i, : batch["num_frames"][i]] for name in SIZES}
            assert not any(batch[name][i, batch["num_frames"][i] :].any() for name in SIZES)
            yield str(key), (frames, batch["labels"][i], batch["rated"][i])


def test_segments_are_those_of_the_starter_codes_reader(tmp_path):
    rng = np.random.default_rng(0)
    shards = {f"validate{n:04}": [random_record(rng, f"v{n}-{i}") for i in range(6)] for n in range(6)}
    shards["validate0003"] += [record("none", 30, []), record("unrated", 30)]
    shards |= {f"train{n:04}": [record(f"plain{n}", 30)] for n in range(2)}
    shards |= {
        "test0000": [record(f"t{n}", n, labels=None) for n in range(1, 25)],
    }
    dataset = open_dataset(folder_of(tmp_path / "data", shards), unit="segment")
    assert dataset.segments == dataset.labelled == {"train", "tuning", "validate"}
    assert any("'train' carry no rated segments" in note for note in dataset.notes)
    owners = {}
    for split in ("train", "tuning", "validate"):
        found = dict(rows_of(dataset.batches(split, batch_size=4)))
        names = [shard.rpartition("/")[2].partition(".")[0] for shard in dataset.splits[split]]
        expected = {
            k: v for name in names for data in shards[name] for k, v in as_the_starter_code(data).items()
        }
        assert list(found) == list(expected) and len(found) == dataset.num_examples(split)
        for key, (frames, labels, rated) in expected.items():
            for name in SIZES:
                np.testing.assert_array_equal(found[key][0][name], frames[name])
            np.testing.assert_array_equal(found[key][1:], (labels, rated))
        ratings = [*read_rated(dataset, split)]
        assert [each for each, *_ in ratings] == list(expected)
        assert all(
            set(map(tuple, np.eye(CLASSES)[rated])) and set(labels) <= set(rated)
            for _, labels, rated in ratings
        )
        owners |= {key.partition(":")[0]: owners.get(key.partition(":")[0], split) for key in found}
        assert {owners[key.partition(":")[0]] for key in found} == {
            split
        }  # no video's segments in two splits
    # A split without ratings: every segment of a video, the last one also where a frame is missing.
    (batch,) = dataset.batches("test", batch_size=500)
    assert [*batch["id"]] == [f"t{n}:{start}" for n in range(1, 25) for start in range(0, n - 3, 5)]
    assert [*batch["num_frames"]] == [min(5, n - start) for n in range(1, 25) for start in range(0, n - 3, 5)]
    assert not {"labels", "rated"} & batch.keys() and dataset.num_examples("test") == len(batch["id"])
    assert dataset.num_videos("test") == 24
    _, labels, weights = next(iter(dataset.batches("validate", batch_size=4).as_tensorflow()))
    first = next(iter(dataset.batches("validate", batch_size=4)))
    np.testing.assert_array_equal([labels, weights], [first["labels"], first["rated"]])
    # As videos: the labels of the video, and the ratings are not taken for them.
    videos = open_dataset(tmp_path / "data")
    assert videos.segments == {"validate"} and videos.num_classes == CLASSES
    assert next(iter(videos.batches("validate", batch_size=99)))["labels"][:, 0].all()
    unlabelled = {f"validate{n:04}": [record(f"v{n}", 30, GOOD, labels=None)] for n in range(3)}
    assert open_dataset(folder_of(tmp_path / "unlabelled", unlabelled)).labelled == frozenset()
    for wrong in ({"unit": "frame"}, {"unit": "segments"}):
        with pytest.raises(UsageError, match="unit"):
            open_dataset(tmp_path / "data", **wrong)
    with pytest.raises(UsageError, match="balance"):
        dataset.batches("train", batch_size=4, shuffle=True, balance=0.5)


GOOD = ((5, 10, 1, 1.0), (20, 25, 2, 0.0))
BAD = {
    "lists of two lengths": ("segment", "differ in length", lambda rows: (rows, {"segment_scores": [1.0]})),
    "no scores": ("segment", "differ in length", lambda rows: (rows, {"segment_scores": []})),
    "beyond the end": ("segment", "not within the video", lambda rows: ([*rows, (28, 33, 1, 1.0)], {})),
    "far beyond": ("segment", "not within", lambda rows: ([*rows, (2**62, 2**62 + 5, 1, 1.0)], {})),
    "negative": ("segment", "not within", lambda rows: ([*rows, (-5, 0, 1, 1.0)], {})),
    "of four seconds": ("segment", "lasts 4 seconds", lambda rows: ([*rows, (10, 14, 1, 1.0)], {})),
    "backwards": ("segment", "lasts -5 seconds", lambda rows: ([*rows, (10, 5, 1, 1.0)], {})),
    "rated 0 and 1": ("rating", "both 0 and 1 for class 1", lambda rows: ([*rows, (5, 10, 1, 0.0)], {})),
    "half": ("rating", "rated 0.5", lambda rows: ([*rows, (10, 15, 1, 0.5)], {})),
    "not a number": ("rating", "rated nan", lambda rows: ([*rows, (10, 15, 1, float("nan"))], {})),
    "a class too many": (
        "label",
        f"class {CLASSES}, none",
        lambda rows: ([*rows, (10, 15, CLASSES, 1.0)], {}),
    ),
    "a negative class": ("label", "class -1, none", lambda rows: ([*rows, (10, 15, -1, 0.0)], {})),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_ratings_are_refused_with_their_place(tmp_path, name):
    kind, message, spoil = BAD[name]
    rows, columns = spoil(list(GOOD))
    rng = np.random.default_rng(len(name))
    rows = [rows[i] for i in rng.permutation(len(rows))]
    place = int(rng.integers(1, 5))  # of the bad record among good ones
    shards = {f"validate{n:04}": [record(f"v{n}-{i}", 31, GOOD) for i in range(5)] for n in range(5)}
    shards["validate0001"].insert(place, record("bad", 31, rows, **columns))
    path = folder_of(tmp_path / "data", shards)
    dataset = open_dataset(path, unit="segment")
    split = next(split for split, shards in dataset.splits.items() if any("0001" in each for each in shards))
    with pytest.raises(
        DataError, match=rf"validate0001.tfrecord, record {place} .*byte [1-9]\d+: .*{message}"
    ):
        list(dataset.batches(split, batch_size=3))
    batches = dataset.batches(split, batch_size=3, on_fault="skip 1", shuffle=True)
    kept = sum(len(batch["id"]) for batch in batches)
    assert kept == 2 * 5 * len(dataset.splits[split]) == dataset.num_examples(split, on_fault="skip 1")
    assert batches.skipped.to_record()["by_fault"] == {kind: 1}
    (found,) = check(path).sets
    assert found["faults"]["by_kind"] == {kind: 1} and found["faults"]["list"][0]["record"] == place
    assert found["ratings"] == {"segments": 50, "ratings": 50, "present": 25}


def test_ratings_of_another_type_or_in_a_split_without_are_refused(tmp_path):
    example = tf.train.SequenceExample.FromString(record("v", 30, GOOD))
    example.context.feature["segment_start_times"].float_list.value.extend([5.0, 20.0])
    shards = {f"validate{n:04}": [record("a", 30, GOOD), example.SerializeToString()] for n in range(3)}
    shards["test0000"] = [
        *(record(f"t{i}", 30, labels=None) for i in range(16)),
        record("late", 30, GOOD, labels=None),
    ]
    dataset = open_dataset(folder_of(tmp_path / "data", shards), unit="segment")
    with pytest.raises(DataError, match=r"record 1 .*segment_start_times holds floats"):
        list(dataset.batches("validate", batch_size=3))
    with pytest.raises(DataError, match=r"record 16 .*rates segments, the first of its split do not"):
        list(dataset.batches("test", batch_size=3))


def test_batches_mix_the_segments_of_many_videos(tmp_path):
    rows = [(start, start + 5, 1, 1.0) for start in range(0, 50, 5)]
    shards = {f"train{n:04}": [record(f"{n}-{i}", 50, rows) for i in range(40)] for n in range(5)}
    shards["validate0000"] = [record("v", 50, rows)]
    dataset = open_dataset(folder_of(tmp_path / "data", shards), unit="segment")
    first, again, other = (
        [[*batch["id"]] for batch in dataset.batches("train", batch_size=50, shuffle=True, epoch=epoch)]
        for epoch in (0, 0, 1)
    )
    assert first == again != other
    one, two = (sorted(each for batch in epoch for each in batch) for epoch in (first, other))
    assert one == two and len({*one}) == 1600
    # 50 of 1,600 segments, 10 a video, drawn at random: of 43.2 ± 2.3 of the 160 videos.
    distinct = [len({each.partition(":")[0] for each in batch}) for batch in first]
    assert 42 < np.mean(distinct) < 45


@pytest.fixture(scope="module")
def rated(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "rated"
    command = [
        "data",
        "synthesize",
        str(path),
        "--segments",
        "--train",
        "400",
        "--validate",
        "200",
        "--test",
        "20",
    ]
    assert CliRunner().invoke(app, command, catch_exceptions=False).exit_code == 0
    return path


def test_generated_ratings_are_what_the_truth_says(rated):
    dataset, kinds = open_dataset(rated / "segments", unit="segment"), {}
    assert read_settings(rated).segments and dataset.splits.keys() == {"train", "tuning", "validate", "test"}
    for split in ("train", "tuning", "validate"):
        truth = dataset.truth(split)
        for segment, labels, asked in read_rated(dataset, split):
            video, start = segment.split(":")
            for label in asked:
                made = truth[video].get(label, np.array([], int))
                held = ((made >= int(start)) & (made < int(start) + 5)).sum()
                assert held >= min(5, len(made)) / 2 > 0 if label in labels else held == 0
                what = "present" if label in labels else "elsewhere" if len(made) else "not in the video"
                kinds.setdefault(what, set()).add(label)
    localized = {*classes_of(SHORT_EVENT), *classes_of(ORDER), *classes_of(TOGETHER)}
    assert kinds == {"present": {*range(24)}, "elsewhere": localized, "not in the video": {*range(24)}}


def test_generated_ratings_are_what_the_frames_show(rated):
    (batch,) = open_dataset(rated / "segments", unit="segment").batches("validate", batch_size=9999)
    templates = Oracle(read_settings(rated))._templates
    for kind in (STEADY_VISUAL, STEADY_AUDIO, SHORT_EVENT):
        name, patterns = ("audio", templates.audio) if kind == STEADY_AUDIO else ("rgb", templates.visual)
        for label in classes_of(kind)[:3]:
            asked = batch["rated"][:, label] > 0
            matched = dequantize(batch[name][asked]) @ patterns[label] / NORMS[kind]
            scores = matched.max(axis=1) if kind == SHORT_EVENT else matched.mean(axis=1)
            assert roc_auc_score(batch["labels"][asked, label], scores) > 0.95, (kind, label)


def test_the_videos_are_the_same_with_ratings_and_without(rated, tmp_path):
    plain = synthesize(tmp_path / "plain", train=400, validate=200, test=20)
    for shard in sorted((plain / "frame").iterdir()):
        assert shard.read_bytes() == (rated / "frame" / shard.name).read_bytes()
    videos, same = (
        next(iter(open_dataset(each).batches("validate", batch_size=300)))
        for each in (plain, rated / "segments")
    )
    assert all(np.array_equal(values, same[name]) for name, values in videos.items())
    with pytest.raises(UsageError, match="other settings"):
        synthesize(plain, train=400, validate=200, test=20, segments=True)


def test_show_and_check_count_segments(rated):
    folder = str(rated / "segments")
    shown = CliRunner().invoke(app, ["data", "show", folder, "--unit", "segment"]).output
    dataset, counts = open_dataset(folder, unit="segment"), {}
    for split in ("train", "tuning", "validate"):
        rows = [*read_rated(dataset, split)]
        assert f"{len(rows):,} segments" in shown
        for name, sizes in (("segments", 1), ("ratings", 2), ("present", 1)):
            total = sum(len(row[sizes]) for row in rows) if name != "segments" else len(rows)
            counts[name] = counts.get(name, 0) + total
    (found,) = json.loads(CliRunner().invoke(app, ["data", "check", folder, "--json"]).output)["sets"]
    assert found["whole"] and found["ratings"] == counts and found["records"] == 620
