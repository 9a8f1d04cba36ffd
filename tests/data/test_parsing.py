"""Records to arrays, against TensorFlow's own messages: both levels, unusual layouts, frames, texts, hostile bytes."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import tensorflow as tf

from dmlkit.data import Feature, dequantize, quantize, serialize_frames, serialize_video
from dmlkit.data.layout import type_of_bytes
from dmlkit.data.parsing import FRAME_CHOICES, FrameSampler, RecordParser, bag_of_tokens, token_index, tokens
from dmlkit.data.records import CONTENT_ERRORS, InvalidRecord

CLASSES = 9
BYTES = (Feature("rgb", 16, "byte", "rgb"), Feature("audio", 8, "byte", "audio"))
FLOATS = (Feature("motion", 8, "float", "motion"),)
MEANS = (Feature("rgb", 16, "float", "mean_rgb"), Feature("audio", 8, "float", "mean_audio"))
TEXT = Feature("text", 97, "text", "text")


def frames_of(number):
    rng = np.random.default_rng(number)
    return {each.name: rng.integers(1, 256, (2 + number % 3, each.size), np.uint8) for each in BYTES}


def byte_record(number, **changes):
    frames = frames_of(number) | changes
    return serialize_frames(video_id=f"v{number}", labels=[number % CLASSES, 8], frames=frames)


def float_record(number, **changes):
    frames = {"motion": np.random.default_rng(number).standard_normal((2, 8))}
    return serialize_frames(video_id=f"v{number}", labels=[number % CLASSES], frames=frames | changes)


def mean_record(number, id_key="video_id", **changes):
    rng = np.random.default_rng(number)
    means = {each.key: rng.standard_normal(each.size) for each in MEANS}
    return serialize_video(
        video_id=f"v{number}", labels=[number % CLASSES], features=means | changes, id_key=id_key
    )


LAYOUTS = {
    "bytes": (byte_record, RecordParser("frame", BYTES, CLASSES, labelled=True)),
    "floats": (float_record, RecordParser("frame", FLOATS, CLASSES, labelled=True)),
    "means": (mean_record, RecordParser("video", MEANS, CLASSES, labelled=True)),
}


def test_the_byte_coding_takes_the_nearest_byte_and_clips():
    assert dequantize(np.uint8([0, 255])).tolist() == [-1.9921875, 2.0078125]
    assert dequantize(np.uint8([[7]])).dtype == np.float32
    every = np.arange(256, dtype=np.uint8)
    assert (quantize(dequantize(every)) == every).all()
    values = np.linspace(-1.99, 2.0, 1001)
    exact = np.arange(256) * 4 / 255 + 4 / 512 - 2
    assert (quantize(values) == np.abs(values[:, None] - exact).argmin(axis=1)).all()
    assert quantize(np.array([-9.0, 9.0, np.inf, -np.inf])).tolist() == [0, 255, 255, 0]
    with pytest.raises(ValueError, match="NaN"):
        quantize(np.array([0.0, np.nan]))


def test_records_are_tensorflows_messages():
    example = tf.train.Example.FromString(mean_record(3)).features.feature
    assert sorted(example) == ["labels", "mean_audio", "mean_rgb", "video_id"]
    assert example["video_id"].bytes_list.value[:] == [b"v3"] and example["labels"].int64_list.value[:] == [3]
    expected = np.random.default_rng(3).standard_normal(16).astype(np.float32)
    assert example["mean_rgb"].float_list.value[:] == expected.tolist()
    written = serialize_frames(video_id="x", labels=None, frames=frames_of(1), texts={"text": ["Cats", "é"]})
    sequence = tf.train.SequenceExample.FromString(written)
    assert sorted(sequence.context.feature) == ["id", "text"]
    rows = sequence.feature_lists.feature_list["rgb"].feature
    assert [row.bytes_list.value[0] for row in rows] == [row.tobytes() for row in frames_of(1)["rgb"]]
    with pytest.raises(ValueError, match=r"mean_rgb.*\(2, 2\)"):
        mean_record(0, mean_rgb=np.ones((2, 2)))
    with pytest.raises(ValueError, match=r"rgb.*\(2,\)"):
        byte_record(0, rgb=np.ones(2))


def test_a_batch_is_padded_to_its_longest_video():
    batch = LAYOUTS["bytes"][1].parse([byte_record(number) for number in range(3)])
    assert list(batch) == ["id", "rgb", "audio", "num_frames", "labels"]
    assert batch["id"].tolist() == ["v0", "v1", "v2"] and batch["num_frames"].tolist() == [2, 3, 4]
    assert batch["num_frames"].dtype == np.int32 and batch["labels"].dtype == np.float32
    for row in range(3):
        for name, matrix in frames_of(row).items():
            assert batch[name].dtype == np.uint8 and batch[name].shape[1] == 4
            np.testing.assert_array_equal(batch[name][row, : 2 + row], matrix)
            assert not batch[name][row, 2 + row :].any()
        assert np.flatnonzero(batch["labels"][row]).tolist() == [row, 8]
    floats = LAYOUTS["floats"][1].parse([float_record(1)])["motion"]
    np.testing.assert_array_equal(floats[0], np.float32(np.random.default_rng(1).standard_normal((2, 8))))


def test_absent_modalities_are_silence_or_zeros():
    empty = byte_record(0, audio=np.zeros((0, 8), np.uint8))
    mute = serialize_frames(video_id="m", labels=[0], frames={"rgb": frames_of(0)["rgb"][:1]})
    batch = LAYOUTS["bytes"][1].parse([byte_record(0), mute, empty])
    assert batch["num_frames"].tolist() == [2, 1, 2]
    assert batch["audio"][1:, :, 0].tolist() == [[127, 0], [127, 127]]
    mute = serialize_video(video_id="m", labels=[6], features={"mean_rgb": np.ones(16)})
    assert not LAYOUTS["means"][1].parse([mute])["audio"].any()


def of_frames(labels=(0,), frames=None):
    return serialize_frames(video_id="", labels=labels, frames=frames_of(0) if frames is None else frames)


# Error → layout, record, part of the message.
INVALID = {
    "label too high": ("bytes", of_frames([9]), "0 to 8"),
    "label below zero": ("means", serialize_video(video_id="", labels=[-1], features={}), "label -1"),
    "size, frames": ("bytes", byte_record(0, rgb=np.ones((2, 5), np.uint8)), "rgb has 5.*has 16"),
    "size, video": ("means", mean_record(0, mean_rgb=np.ones(7)), "mean_rgb has 7.*has 16"),
    "coding, floats": ("bytes", byte_record(0, rgb=np.ones((2, 16))), "not written as bytes"),
    "coding, bytes": ("floats", float_record(0, motion=np.ones((2, 8), np.uint8)), "not written as floats"),
    "label twice": ("bytes", of_frames([3, 3]), "repeat"),
    "frames differ": ("bytes", byte_record(0, rgb=np.ones((5, 16), np.uint8)), "rgb 5, audio 2"),
    "level, video": ("bytes", mean_record(0), "not of frame level"),
    "level, frames": ("means", byte_record(0), "not of video level"),
    "no features": ("means", serialize_video(video_id="", labels=[], features={}), "none of mean_rgb"),
    "frames missing": ("bytes", of_frames(frames={}), "no frames of rgb, audio"),
    "not finite, frames": ("floats", float_record(0, motion=np.full((2, 8), np.nan)), "NaN"),
    "not finite, video": ("means", mean_record(0, mean_audio=np.full(8, np.inf)), "infinite"),
    "not a record, video": ("means", b"\xff\xff\xff", "not a tf.train.Example"),
}


def test_errors_of_a_record_are_described():
    for case, (layout, record, message) in INVALID.items():
        with pytest.raises(InvalidRecord, match=message) as caught:
            LAYOUTS[layout][1].read(record)
        assert "\n" not in str(caught.value)
        assert caught.value.kind in CONTENT_ERRORS and case.startswith(caught.value.kind)


def outcome(parser, record):
    """All that is read, or the kind of error."""
    try:
        batch = parser.parse([record])
    except InvalidRecord as invalid:
        return invalid.kind
    return {name: (values.dtype, values.shape, values.tolist()) for name, values in batch.items()}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_fast_path_reads_what_the_protobuf_library_reads(layout):
    """Of hostile records too: where TensorFlow's messages can be parsed, both read the same or both refuse."""
    make, parser = LAYOUTS[layout]
    kind = tf.train.Example if parser.level == "video" else tf.train.SequenceExample
    rng, compared = np.random.default_rng(4), 0
    for number in rng.integers(5, size=600).tolist():
        record = bytearray(make(number))
        record[int(rng.integers(len(record)))] ^= int(rng.integers(1, 256))
        record = bytes(record)
        try:
            parsed = kind.FromString(record)
        except Exception:
            read = outcome(parser, record)
            assert isinstance(read, dict) or read in CONTENT_ERRORS
            continue
        # Written again by the library, it has the usual layout; an unknown field at its end leads to the slow path.
        again = parsed.SerializeToString(deterministic=True)
        assert outcome(parser, record) == outcome(parser, again) == outcome(parser, again + b"\x50\x07")
        compared += 1
    assert compared > 100


# Frames.


def test_frame_choices():
    chosen = {name: choose(10, 3, seed=(0, 0, 0)) for name, choose in FRAME_CHOICES.items()}
    assert np.arange(10)[chosen["first"]].tolist() == [0, 1, 2]
    assert FRAME_CHOICES["uniform"](10, 5, seed=()).tolist() == [1, 3, 5, 7, 9]
    assert FRAME_CHOICES["uniform"](9, 3, seed=()).tolist() == [1, 4, 7]
    for num_frames in range(1, 40):
        for count in range(1, num_frames + 1):
            for name in ("uniform", "random"):
                frames = FRAME_CHOICES[name](num_frames, count, seed=(0, 0, 0))
                assert len(frames) == count and (np.diff(frames) > 0).all() and frames[-1] < num_frames
                assert name == "random" or count < 3 or np.ptp(np.diff(frames)) <= 1  # evenly


@pytest.mark.parametrize(
    ("num_frames", "sampler", "expected"),
    [(8, FrameSampler("random", 2), 500), (12, FrameSampler("random", 6, 0.5), 500)],
)
def test_random_frames_reach_every_frame_equally(num_frames, sampler, expected):
    samples = [replace(sampler, epoch=epoch).select(num_frames, "v") for epoch in range(2000)]
    assert len({tuple(frames.tolist()) for frames in samples}) > 20
    counts = np.bincount(np.concatenate(samples), minlength=num_frames)
    assert abs(counts - expected).max() < 110  # deviation 19 to 22


def test_frames_are_cut_in_all_modalities_alike():
    sampler = FrameSampler("random", 2, seed=3, epoch=1)
    parser = RecordParser("frame", BYTES, CLASSES, labelled=True, sampler=sampler)
    batch = parser.parse([byte_record(2), byte_record(0)])
    joined = np.concatenate([frames_of(2)["rgb"], frames_of(2)["audio"]], axis=1).tolist()
    got = np.concatenate([batch["rgb"][0], batch["audio"][0]], axis=1).tolist()
    places = [joined.index(row) for row in got]
    assert all(a < b for a, b in pairwise(places)) and batch["num_frames"].tolist() == [2, 2]
    np.testing.assert_array_equal(batch["rgb"][1], frames_of(0)["rgb"])


@pytest.mark.parametrize("apart", [1, 2])
def test_modalities_that_differ_by_two_frames_are_cut_to_the_shortest(apart):
    parser = LAYOUTS["bytes"][1]
    record = byte_record(2, audio=frames_of(2)["audio"][: 4 - apart])
    video = parser.read(record)
    assert video.cut and video.num_frames == 4 - apart and not parser.read(byte_record(2)).cut
    for name, matrix in frames_of(2).items():
        np.testing.assert_array_equal(parser.parse([record])[name][0], matrix[: 4 - apart])


# Bytes that are the memory of other numbers.


def test_the_memory_of_floats_is_told_from_bytes():
    rng = np.random.default_rng(0)
    normal = rng.standard_normal(4000)
    for name in ("float16", "float32", "float64"):
        for values in (normal, np.maximum(normal, 0), normal * 0.1, np.abs(normal) + 1, np.round(normal * 9)):
            assert type_of_bytes(values.astype(name).tobytes()) is not None
        assert type_of_bytes(normal.astype(name).tobytes()) == name
    for name in ("int32", "int64"):
        assert type_of_bytes(rng.integers(0, 256, 400).astype(name).tobytes()) == name
    for low, high in ((0, 256), (50, 80), (90, 160), (120, 136), (0, 2)):
        assert all(
            type_of_bytes(rng.integers(low, high, 1024, np.uint8).tobytes()) is None for _ in range(200)
        )
    assert all(type_of_bytes(bytes([value]) * 1024) is None for value in range(256))


# Texts.


def test_tokens():
    for text, words in {
        "My BEST_cats": ["my", "best", "cats"],
        "Straße, Cafe\u0301, \uff22\uff33": ["strasse", "café", "bs"],
        "日本語 (part 2)": ["日本語", "part", "2"],
        "a\x00b\nc <b>": ["a", "b", "c", "b"],
    }.items():
        assert tokens(text) == words


def bag(*words):
    row = np.zeros(97, np.float32)
    row[[token_index(word, 97) for word in words]] = 1
    return row


def test_an_index_is_the_tokens_crc_whatever_the_bytes():
    # The check value that every description of CRC-32 gives. A trained model means these indices.
    assert token_index("123456789", 1 << 20) == 0xCBF43926 % (1 << 20)
    np.testing.assert_array_equal(
        bag_of_tokens(["caf\xe9 river".encode("latin-1"), b"\xff\xfe\x00"], 97), bag("caf", "river")
    )


def test_texts_become_a_bag_a_video():
    texts = [["My BEST cats", "cats, dogs"], ["Düsseldorf_1"], [], ["!?"]]
    bags = [bag("my", "best", "cats", "dogs"), bag("düsseldorf", "1"), bag(), bag()]
    for level, numeric, write, values in (
        ("frame", BYTES[:1], serialize_frames, {"frames": {"rgb": frames_of(0)["rgb"]}}),
        ("video", MEANS[:1], serialize_video, {"features": {"mean_rgb": np.ones(16)}}),
    ):
        parser = RecordParser(level, (*numeric, TEXT), CLASSES, labelled=True)
        records = [
            write(video_id="v", labels=[0], texts={"text": each} if each else None, **values)
            for each in texts
        ]
        np.testing.assert_array_equal(parser.parse(records)["text"], bags)
        kind = tf.train.Example if level == "video" else tf.train.SequenceExample
        wrong = kind.FromString(records[0])
        (wrong.features if level == "video" else wrong.context).feature["text"].int64_list.value.append(3)
        with pytest.raises(InvalidRecord, match="text holds numbers") as caught:
            parser.read(wrong.SerializeToString())
        assert caught.value.kind == "coding"
