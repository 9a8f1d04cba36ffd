"""Flipped bytes, cut files and hostile records over shards of each layout, generated and real ones.

Every record is read as before, which is more than that its scores are, or reported with its place, and all other
records are read as before. The real shards (YouTube-8M, AudioSet) lie in the folder that DMLKIT_REAL_DATA names; their
cases are skipped elsewhere.
"""

import gzip
import hashlib
from itertools import islice

import numpy as np
import pytest
import tensorflow as tf

from dmlkit.data import Feature, Skipped, open_dataset, serialize_frames, serialize_video, write_dataset_toml
from dmlkit.data.check import check
from dmlkit.data.records import CONTENT_ERRORS, FOOTER_BYTES, HEADER_BYTES, frame_record
from dmlkit.errors import DataError

CLASSES, RECORDS = 9, 5


def frames(number, rng):
    shapes = {"rgb": (2 + number % 3, 16), "audio": (2 + number % 3, 8)}
    matrices = {name: rng.integers(0, 256, shape, np.uint8) for name, shape in shapes.items()}
    return serialize_frames(video_id=f"id{number:02}", labels=[number, 8], frames=matrices)


def means(number, rng):
    features = {"mean_rgb": rng.standard_normal(16), "mean_audio": rng.standard_normal(8)}
    return serialize_video(video_id=f"id{number}", labels=[number, 8], features=features, id_key="video_id")


def audioset(number, rng):
    """With the times of the clip, which AudioSet's records hold as floats; the frames are floats, too."""
    matrices = {"audio": rng.standard_normal((2, 8))}
    record = serialize_frames(video_id=f"{number}", labels=[number], frames=matrices)
    example = tf.train.SequenceExample.FromString(record)
    example.context.feature["start_time_seconds"].float_list.value.append(30.0)
    return example.SerializeToString(deterministic=True)


LAYOUTS = {"frames": (frames, "frame"), "means": (means, "video"), "audioset": (audioset, "frame")}


def generated_shard(folder, layout):
    make, level = LAYOUTS[layout]
    rng = np.random.default_rng(0)
    records = [make(number, rng) for number in range(RECORDS)]
    coding, prefix = "byte" if layout == "frames" else "float", "mean_" if layout == "means" else ""
    sizes = {"rgb": 16, "audio": 8} if layout != "audioset" else {"audio": 8}
    features = {name: Feature(name, size, coding, prefix + name) for name, size in sizes.items()}
    return Shard(folder, records, level=level, features=features, num_classes=CLASSES)


REAL = ("yt8m-2018-video", "yt8m-2017-video", "audioset-frame", "yt8m-frame-one-video")


def real_shard(folder, real_data, name):
    """The first records of a data set; the one real video with both modalities in frames is written as such."""
    if name == "yt8m-frame-one-video":
        arrays = np.load(real_data / name / "SjJ3.npz")
        matrices = {each: arrays[each] for each in ("rgb", "audio")}
        record = serialize_frames(video_id=str(arrays["id"]), labels=arrays["labels"], frames=matrices)
        features = {each: Feature(each, matrix.shape[1], "byte", each) for each, matrix in matrices.items()}
        return Shard(folder, [record], level="frame", features=features, num_classes=3862)
    dataset = open_dataset(real_data / name)
    records = tf.data.TFRecordDataset(dataset.splits["train"]).as_numpy_iterator()
    about = {"level": dataset.level, "features": dataset.features, "num_classes": dataset.num_classes}
    return Shard(folder, list(islice(records, 12)), **about)


class Shard:
    """A shard of some records in a folder of its own, whose dataset.toml counts them."""

    def __init__(self, folder, records, **about):
        self.records = records
        self.whole = b"".join(map(frame_record, records))
        self.ends = np.cumsum([HEADER_BYTES + len(record) + FOOTER_BYTES for record in records]).tolist()
        self.begins = [0, *self.ends[:-1]]
        self.path = folder / "train.tfrecord"
        for split in ("train", "tuning", "validate"):
            (folder / f"{split}.tfrecord").write_bytes(self.whole)
        splits = {split: [f"{split}.tfrecord"] for split in ("train", "tuning", "validate")}
        write_dataset_toml(folder, splits=splits, counts={self.path.name: len(records)}, **about)
        self.dataset = open_dataset(folder)
        self.intact, _ = self.read(self.whole)
        assert len(self.intact) == len(records)

    def read(self, data):
        """A digest of each video that is read, and the errors: number of the record → byte, kind."""
        self.path.write_bytes(data)
        skipped, videos = Skipped.of("skip 1000"), []
        for batch in self.dataset.batches("train", batch_size=1, on_fault=skipped):
            digest = hashlib.sha1()
            for name, values in batch.items():
                assert values.dtype != np.float32 or np.isfinite(values).all()
                digest.update(f"{name} {values.dtype} {values.shape} {values.tolist()}".encode())
            videos.append(digest.hexdigest())
        return videos, {number: error for (_, number), error in skipped.records.items()}

    def without(self, number):
        return self.intact[:number] + self.intact[number + 1 :]

    def flip(self, rng):
        """A flipped byte is reported with its record and its place, and nothing else is lost."""
        byte, data = int(rng.integers(len(self.whole))), bytearray(self.whole)
        data[byte] ^= int(rng.integers(1, 256))
        number = int(np.searchsorted(self.ends, byte, side="right"))
        begin = self.begins[number]
        kind = "length checksum" if byte - begin < HEADER_BYTES else "record checksum"
        assert self.read(bytes(data)) == (self.without(number), {number: (begin, kind)})
        if byte % 4 == 0:
            with pytest.raises(DataError, match=rf"train\.tfrecord, record {number} .*, byte {begin}:"):
                list(self.dataset.batches("train", batch_size=3))

    def cut(self, rng):
        """What is whole is read, and the record that is not is reported."""
        length = int(rng.integers(len(self.whole)))
        number = int(np.searchsorted(self.ends, length, side="right"))
        kind = "count" if length in self.begins else "cut off"
        assert self.read(self.whole[:length]) == (self.intact[:number], {number: (self.begins[number], kind)})

    def rewrite(self, rng):
        """One to three bytes of a record changed, removed or inserted, and the checksums made right again."""
        number = int(rng.integers(len(self.records)))
        record = bytearray(self.records[number])
        for _ in range(rng.integers(1, 4)):
            place = int(rng.integers(len(record)))
            match rng.integers(5):
                case 0:
                    del record[place : place + int(rng.integers(1, 9))]
                case 1:
                    record[place:place] = rng.bytes(int(rng.integers(1, 9)))
                case _:
                    record[place] ^= int(rng.integers(1, 256))
        others = [frame_record(each) for each in self.records]
        others[number] = frame_record(bytes(record))
        videos, errors = self.read(b"".join(others))
        assert set(errors) <= {number}
        if errors:
            byte, kind = errors[number]
            assert byte == self.begins[number] and kind in CONTENT_ERRORS and videos == self.without(number)
        else:
            assert videos[:number] + videos[number + 1 :] == self.without(number)

    def overwrite(self, rng):
        """A stretch of zeros, of noise, or of another place of the file; or some bytes more or fewer."""
        data, length = bytearray(self.whole), int(rng.integers(1, 4097))
        begin, other = rng.integers(len(data), size=2).tolist()
        match rng.integers(5):
            case 0:
                data[begin : begin + length] = bytes(len(data[begin : begin + length]))
            case 1:
                data[begin : begin + length] = rng.bytes(len(data[begin : begin + length]))
            case 2:
                data[begin : begin + length] = self.whole[other : other + length]
            case 3:
                data[begin:begin] = rng.bytes(length)
            case 4:
                del data[begin : begin + length]
        self.reported_or_whole(bytes(data))

    def compressed(self, rng):
        """The same, a flip or a cut within a compressed shard, whose records nobody can find again after it."""
        data = bytearray(gzip.compress(self.whole, 1))
        place = int(rng.integers(len(data)))
        if rng.integers(2):
            data[place] ^= int(rng.integers(1, 256))
        else:
            del data[place:]
        self.reported_or_whole(bytes(data))

    def reported_or_whole(self, data):
        """Whatever is read is as before, and where anything is not read, reading and check report it."""
        videos, errors = self.read(data)
        assert set(videos) <= set(self.intact)
        report = check(self.path)
        # A stretch may copy whole records over others: only their ids show it.
        assert errors or videos == self.intact or report.sets[0]["faults"]["by_kind"]["duplicate id"]
        assert report.whole == (videos == self.intact and not errors)


@pytest.mark.parametrize("times", [40, pytest.param(4000, marks=pytest.mark.nightly)])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_no_corruption_goes_unnoticed(tmp_path, layout, times):
    shard, rng = generated_shard(tmp_path, layout), np.random.default_rng(times)
    for corrupt in (shard.flip, shard.cut, shard.rewrite, shard.overwrite, shard.compressed):
        for _ in range(times):
            corrupt(rng)


@pytest.mark.parametrize("times", [2, pytest.param(500, marks=pytest.mark.nightly)])  # 10,000 in all
@pytest.mark.parametrize("name", REAL)
def test_no_corruption_of_real_shards_goes_unnoticed(tmp_path, real_data, name, times):
    shard, rng = real_shard(tmp_path, real_data, name), np.random.default_rng(times)
    for corrupt in (shard.flip, shard.cut, shard.rewrite, shard.overwrite, shard.compressed):
        for _ in range(times):
            corrupt(rng)


# Real shards, against a reader that knows nothing of ours: TensorFlow's messages, one by one.


@pytest.mark.parametrize(("name", "split"), [("yt8m-2018-video", "tuning"), ("yt8m-2017-video", "test")])
def test_real_videos(real_data, name, split):
    dataset, count = open_dataset(real_data / name), 0
    records = tf.data.TFRecordDataset(dataset.splits[split]).as_numpy_iterator()
    messages = map(tf.train.Example.FromString, records)
    for batch in dataset.batches(split, batch_size=100):
        assert ("labels" in batch) == (split != "test")
        for row, message in zip(range(len(batch["id"])), messages, strict=False):
            entries, count = message.features.feature, count + 1
            id_key = "id" if "id" in entries else "video_id"
            assert batch["id"][row] == entries[id_key].bytes_list.value[0].decode()
            for modality in ("rgb", "audio"):
                expected = np.float32(entries[f"mean_{modality}"].float_list.value)
                np.testing.assert_array_equal(batch[modality][row], expected)
            if "labels" in batch:
                labels = sorted(set(entries["labels"].int64_list.value))
                assert np.flatnonzero(batch["labels"][row]).tolist() == labels
    assert count == dataset.num_videos(split)
