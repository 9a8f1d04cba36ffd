"""Texts as bags of tokens: out of records of either level, hostile ones too, and only where a data set says so."""

import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner
from dmlkit.data.single import Places
from dmlkit.data.texts import bag, place, tokens

from dmlkit.cli import app
from dmlkit.data import (
    Feature,
    check,
    open_dataset,
    serialize_frames,
    serialize_video,
    write_dataset_toml,
    write_shard,
)
from dmlkit.errors import DataError

SIZE = 97
TEXT = Feature("text", SIZE, "text", "text")
TITLES = (["My BEST cats", "cats, dogs"], ["Düsseldorf_1"], [], ["!?"], ["dogs"])


def expected_bag(*words):
    row = np.zeros(SIZE, np.float32)
    row[[place(word, SIZE) for word in words]] = 1
    return row


BAGS = (
    expected_bag("my", "best", "cats", "dogs"),
    expected_bag("düsseldorf", "1"),
    *(np.zeros(SIZE),) * 2,
    expected_bag("dogs"),
)


def record(number, texts, *, level="frame"):
    keep = {"video_id": f"v{number}", "labels": [number % 3], "texts": {"text": texts} if texts else None}
    if level == "video":
        return serialize_video(**keep, features={"mean_rgb": np.full(4, number, np.float32)})
    return serialize_frames(**keep, frames={"rgb": np.full((number + 1, 4), number + 1, np.uint8)})


def write_folder(folder, records, *, level="frame", features=None, declare=True):
    folder.mkdir(exist_ok=True)
    for split in ("train", "tuning", "validate"):
        write_shard(folder / f"{split}.tfrecord", records)
    if declare:
        video = level == "video"
        rgb = Feature("rgb", 4, "float" if video else "byte", "mean_rgb" if video else "rgb")
        features = features or {"rgb": rgb, "text": TEXT}
        splits = {split: [f"{split}*"] for split in ("train", "tuning", "validate")}
        write_dataset_toml(
            str(folder), name="told", level=level, features=features, num_classes=3, splits=splits
        )
    return open_dataset(folder)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("My BEST_cats", ["my", "best", "cats"]),
        ("Straße, İstanbul", ["strasse", "i", "stanbul"]),
        ("Cafe\u0301, \uff22\uff33", ["café", "bs"]),
        ("日本語 (part 2)", ["日本語", "part", "2"]),
        ("<b>&amp;</b>", ["b", "amp", "b"]),
        ("a\x00b\nc", ["a", "b", "c"]),
        (" ... ", []),
    ],
)
def test_words_are_what_separators_leave(text, words):
    assert list(tokens(text)) == words


def test_a_place_is_the_crc_of_the_token():
    # The check value that every description of CRC-32 gives. A trained model means these places.
    assert place("123456789", 1 << 20) == 0xCBF43926 % (1 << 20)


@pytest.mark.parametrize("level", ["frame", "video"])
def test_batches_hold_a_bag_for_each_video(tmp_path, level):
    records = [record(number, texts, level=level) for number, texts in enumerate(TITLES)]
    dataset = write_folder(tmp_path / "d", records, level=level)
    batch = next(iter(dataset.batches("train", batch_size=8)))
    assert batch["text"].dtype == np.float32
    np.testing.assert_array_equal(batch["text"], BAGS)
    assert batch["rgb"].shape == ((5, 5, 4) if level == "frame" else (5, 4))
    inputs, _ = dataset.batches("train", batch_size=8).as_tensorflow().element_spec
    assert inputs["text"].shape.as_list() == [None, SIZE]
    for number, row in enumerate(BAGS):
        np.testing.assert_array_equal(Places(dataset, "train").read(number)["text"], row[None])


def test_the_frames_chosen_make_no_difference(tmp_path):
    dataset = write_folder(tmp_path / "d", [record(5, TITLES[0])])
    batch = next(iter(dataset.batches("train", batch_size=1, max_frames=2, frame_choice="random")))
    assert batch["rgb"].shape == (1, 2, 4)
    np.testing.assert_array_equal(batch["text"], BAGS[:1])


@pytest.mark.parametrize("level", ["frame", "video"])
def test_records_that_others_wrote(tmp_path, level):
    """By TensorFlow's own messages, and laid out so that only the protobuf library can read it."""

    def entry(kind, values):
        return tf.train.Feature(**{f"{kind}_list": getattr(tf.train, f"{kind.title()}List")(value=values)})

    told = {"id": entry("bytes", [b"v"]), "labels": entry("int64", [1])}
    told["text"] = entry("bytes", [b"cats", b"MY best dogs"])
    if level == "video":
        told["mean_rgb"] = entry("float", [1, 2, 3, 4])
        mine = tf.train.Example(features=tf.train.Features(feature=told))
    else:
        frames = tf.train.FeatureList(feature=[entry("bytes", [bytes(4)])])
        mine = tf.train.SequenceExample(
            context=tf.train.Features(feature=told),
            feature_lists=tf.train.FeatureLists(feature_list={"rgb": frames}),
        )
    empty_field_again = b"\x0a\x00" if level == "video" else b"\x12\x00"
    records = [mine.SerializeToString(), mine.SerializeToString() + empty_field_again]
    dataset = write_folder(tmp_path / "d", records, level=level)
    batch = next(iter(dataset.batches("train", batch_size=2)))
    np.testing.assert_array_equal(batch["text"], BAGS[:1] * 2)
    assert batch["rgb"].any() == (level == "video")


def test_bytes_that_are_no_text_and_texts_without_end():
    latin = "caf\xe9 river".encode("latin-1")
    np.testing.assert_array_equal(bag([latin, b"\xff\xfe\x00"], SIZE), expected_bag("caf", "river"))
    np.testing.assert_array_equal(bag([b"spam " * 1_000_000], SIZE), expected_bag("spam"))
    assert bag([b" ".join(b"%d" % number for number in range(10_000))], SIZE).tolist() == [1.0] * SIZE


@pytest.mark.parametrize("level", ["frame", "video"])
def test_numbers_in_place_of_a_text_are_a_fault_of_the_record(tmp_path, level):
    good = record(0, ["cats"], level=level)
    kind = tf.train.Example if level == "video" else tf.train.SequenceExample
    bad = kind.FromString(good)
    entries = bad.features.feature if level == "video" else bad.context.feature
    entries["text"].int64_list.value.append(3)
    dataset = write_folder(tmp_path / "d", [good, bad.SerializeToString()], level=level)
    with pytest.raises(DataError, match=r"train\.tfrecord, record 1 .*text holds numbers.*dataset\.toml"):
        list(dataset.batches("train", batch_size=2))
    assert check(tmp_path / "d" / "train.tfrecord").sets[0].total.faults == {"coding": 1}


def test_check_counts_the_videos_that_have_none(tmp_path):
    write_folder(tmp_path / "d", [record(number, texts) for number, texts in enumerate(TITLES)])
    report = check(tmp_path / "d" / "train.tfrecord")
    assert report.whole
    assert report.sets[0].total.missing == {"text": 1}
    assert "text 97 (text)" in " ".join(report.text().split())
    assert "text in 1 video: read as no words" in report.text()


def test_a_text_is_no_stand_in_for_frames(tmp_path):
    lacking = serialize_frames(video_id="v", labels=[0], frames={}, texts={"text": ["cats"]})
    dataset = write_folder(tmp_path / "d", [record(0, ["cats"]), lacking])
    with pytest.raises(DataError, match=r"record 1 .*no frames of rgb\."):
        list(dataset.batches("train", batch_size=2))


def test_texts_are_a_modality_only_where_the_data_set_says_so(tmp_path):
    records = [record(number, texts) for number, texts in enumerate(TITLES)]
    bare = write_folder(tmp_path / "d", records, declare=False)
    assert list(bare.features) == ["rgb"]
    assert any("carry text, which is left aside" in note for note in bare.notes)
    (tmp_path / "d" / "dataset.toml").write_text('[features.text]\nsize = 97\ncoding = "text"\n')
    declared = open_dataset(tmp_path / "d")
    assert declared.features == {**bare.features, "text": TEXT}
    assert not any("left aside" in note for note in declared.notes)
    assert declared.fingerprint != bare.fingerprint
    shown = CliRunner().invoke(app, ["data", "show", str(tmp_path / "d")])
    assert "rgb 4 (byte), text 97 (text)" in shown.output


def test_a_data_set_of_two_modalities_that_says_so_stays_one(tmp_path):
    rgb = {"rgb": Feature("rgb", 4, "byte", "rgb")}
    assert write_folder(tmp_path / "d", [record(0, ["cats"])], features=rgb).features == rgb


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ('size = 2000000\ncoding = "text"', "at most 1,048,576 places"),
        ('size = 97\ncoding = "texts"', r"byte, float, text.*texts.*text"),
        ('coding = "text"', "at least `size`"),
    ],
)
def test_a_declaration_that_cannot_be(tmp_path, entry, message):
    write_folder(tmp_path / "d", [record(0, ["cats"])], declare=False)
    (tmp_path / "d" / "dataset.toml").write_text(f"[features.text]\n{entry}\n")
    with pytest.raises(DataError, match=message):
        open_dataset(tmp_path / "d")
