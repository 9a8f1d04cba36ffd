"""Flipped bytes, cut files and hostile records over a shard of each layout, thousands of them.

Every one is read as before or reported with its record, and all other records are read as before.
"""

import hashlib

import numpy as np
import pytest
import tensorflow as tf
from dmlkit.data.faults import CONTENT
from dmlkit.data.framing import FOOTER, HEADER, frame
from dmlkit.data.skipping import Skipped

from dmlkit.data import Feature, open_dataset, serialize_frames, serialize_video, write_dataset_toml
from dmlkit.errors import DataError

CLASSES = 9
RECORDS = 5


def byte_frames(number, rng):
    time = 2 + number % 3
    return {
        "rgb": rng.integers(0, 256, (time, 16), np.uint8),
        "audio": rng.integers(0, 256, (time, 8), np.uint8),
    }


def yt8m_frames(number, rng):
    return serialize_frames(video_id=f"id{number:02}", labels=[number, 8], frames=byte_frames(number, rng))


def yt8m_2017_frames(number, rng):
    frames = byte_frames(number, rng)
    return serialize_frames(video_id=f"id{number:09}", labels=[number, 8], frames=frames, id_key="video_id")


def yt8m_video(number, rng, id_key="id"):
    features = {"mean_rgb": rng.standard_normal(16), "mean_audio": rng.standard_normal(8)}
    return serialize_video(video_id=f"id{number:02}", labels=[number, 8], features=features, id_key=id_key)


def yt8m_2017_video(number, rng):
    return yt8m_video(number, rng, id_key="video_id")


def audioset(number, rng):
    """With the times of the clip, which AudioSet's records hold as floats."""
    frames = {"audio_embedding": rng.integers(0, 256, (3, 8), np.uint8)}
    record = serialize_frames(
        video_id=f"-clip{number:06}", labels=[number, 8], frames=frames, id_key="video_id"
    )
    example = tf.train.SequenceExample.FromString(record)
    example.context.feature["start_time_seconds"].float_list.value.append(30.0)
    example.context.feature["end_time_seconds"].float_list.value.append(40.0)
    return example.SerializeToString(deterministic=True)


def float_frames(number, rng):
    return serialize_frames(
        video_id=f"{number}", labels=[number], frames={"text": rng.standard_normal((2, 8))}
    )


BYTE = {"rgb": Feature("rgb", 16, "byte", "rgb"), "audio": Feature("audio", 8, "byte", "audio")}
MEANS = {
    "rgb": Feature("rgb", 16, "float", "mean_rgb"),
    "audio": Feature("audio", 8, "float", "mean_audio"),
}
LAYOUTS = {
    "yt8m frames": (yt8m_frames, "frame", BYTE),
    "yt8m 2017 frames": (yt8m_2017_frames, "frame", BYTE),
    "yt8m video": (yt8m_video, "video", MEANS),
    "yt8m 2017 video": (yt8m_2017_video, "video", MEANS),
    "audioset": (audioset, "frame", {"audio": Feature("audio", 8, "byte", "audio_embedding")}),
    "float frames": (float_frames, "frame", {"text": Feature("text", 8, "float", "text")}),
}


class Shard:
    """One shard of a layout in a folder of its own, and what reading it gives."""

    def __init__(self, folder, layout):
        make, level, features = LAYOUTS[layout]
        rng = np.random.default_rng(0)
        self.records = [make(number, rng) for number in range(RECORDS)]
        self.whole = b"".join(map(frame, self.records))
        self.ends = np.cumsum([HEADER + len(record) + FOOTER for record in self.records]).tolist()
        self.path = folder / "train.tfrecord"
        for split in ("train", "tuning", "validate"):
            (folder / f"{split}.tfrecord").write_bytes(self.whole)
        write_dataset_toml(
            str(folder),
            name=layout,
            level=level,
            features=features,
            num_classes=CLASSES,
            splits={split: [f"{split}.tfrecord"] for split in ("train", "tuning", "validate")},
        )
        self.dataset = open_dataset(folder)
        self.sound, _ = self.read(self.whole)
        assert len(self.sound) == RECORDS

    def read(self, data):
        """A digest of each video that was read, and the faults: number of the record → byte, kind."""
        self.path.write_bytes(data)
        skipped = Skipped.of("skip 1000")
        videos = [_digest(batch) for batch in self.dataset.batches("train", batch_size=1, on_fault=skipped)]
        return videos, {number: fault for (_, number), fault in skipped.records.items()}

    def place(self, number):
        """The byte at which a record begins."""
        return self.ends[number] - HEADER - len(self.records[number]) - FOOTER

    def record_at(self, byte):
        """The number of the record that a byte belongs to."""
        return int(np.searchsorted(self.ends, byte, side="right"))

    def told_when_raised(self, data):
        """What an error says where faults raise; None without one."""
        self.path.write_bytes(data)
        try:
            list(self.dataset.batches("train", batch_size=3))
        except DataError as error:
            return str(error)
        return None


def _digest(batch):
    digest = hashlib.sha1()
    for name, values in batch.items():
        if values.dtype == np.float32:
            assert np.isfinite(values).all()
        digest.update(f"{name} {values.dtype} {values.shape} {values.tolist()}".encode())
    return digest.hexdigest()


def flips(shard, count, rng):
    """Single flipped bytes: each is reported with its record and its place, and nothing else is lost."""
    for byte, change in zip(
        rng.integers(len(shard.whole), size=count).tolist(), rng.integers(1, 256, count).tolist(), strict=True
    ):
        data = bytearray(shard.whole)
        data[byte] ^= change
        number = shard.record_at(byte)
        videos, faults = shard.read(bytes(data))
        kind = "length checksum" if byte - shard.place(number) < HEADER else "record checksum"
        assert faults == {number: (shard.place(number), kind)}
        assert videos == shard.sound[:number] + shard.sound[number + 1 :]
        if byte % 8 == 0:
            told = shard.told_when_raised(bytes(data))
            assert f"train.tfrecord, record {number} (counted from 0), byte {shard.place(number)}:" in told
    return {"reported with their record": count}


def cuts(shard, count, rng):
    """Files cut off: what is whole is read, and the record that is not is reported."""
    between = 0
    for length in rng.integers(len(shard.whole), size=count).tolist():
        number = shard.record_at(length)
        videos, faults = shard.read(shard.whole[:length])
        assert videos == shard.sound[:number]
        if length == shard.place(number):
            # Between two records a shorter file is a whole one; only counts in dataset.toml tell.
            assert not faults
            between += 1
        else:
            assert faults == {number: (shard.place(number), "cut off")}
    return {"reported with their record": count - between, "cut between two records": between}


def hostile(shard, count, rng):
    """One to three bytes of a record changed, taken out or put in, and the checksums made right again."""
    outcomes = {"read as before": 0, "read as other values": 0}
    for _ in range(count):
        number = int(rng.integers(RECORDS))
        record = bytearray(shard.records[number])
        for _ in range(rng.integers(1, 4)):
            place = int(rng.integers(len(record)))
            match rng.integers(6):
                case 0:
                    del record[place : place + int(rng.integers(1, 9))]
                case 1:
                    record[place:place] = rng.bytes(int(rng.integers(1, 9)))
                case 2:
                    record[place : place + 9] = b"\xff" * 9
                case _:
                    record[place] ^= int(rng.integers(1, 256))
            if not record:
                break
        others = [frame(each) for each in shard.records]
        others[number] = frame(bytes(record))
        videos, faults = shard.read(b"".join(others))
        assert set(faults) <= {number}
        if faults:
            byte, kind = faults[number]
            assert byte == shard.place(number) and kind in CONTENT
            assert videos == shard.sound[:number] + shard.sound[number + 1 :]
            outcomes[kind] = outcomes.get(kind, 0) + 1
        else:
            assert videos[:number] + videos[number + 1 :] == shard.sound[:number] + shard.sound[number + 1 :]
            outcomes["read as before" if videos == shard.sound else "read as other values"] += 1
    return outcomes


COMBINERS = {"flips": flips, "cuts": cuts, "hostile": hostile}


@pytest.mark.parametrize("way", COMBINERS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_no_fault_is_silent(tmp_path, layout, way):
    outcomes = COMBINERS[way](Shard(tmp_path, layout), 60, np.random.default_rng(1))
    assert sum(outcomes.values()) == 60


@pytest.mark.slow
@pytest.mark.parametrize("way", COMBINERS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_no_fault_is_silent_in_thousands(tmp_path, layout, way, record_property, capsys):
    count = {"flips": 9_000, "cuts": 1_000, "hostile": 2_000}[way]
    outcomes = COMBINERS[way](Shard(tmp_path, layout), count, np.random.default_rng(2))
    record_property("outcomes", outcomes)
    with capsys.disabled():
        print(f"\n{layout}, {way}: {', '.join(f'{count:,} {what}' for what, count in outcomes.items())}")
    assert sum(outcomes.values()) == count


@pytest.mark.slow
@pytest.mark.parametrize("name", ["yt8m-2018-video", "yt8m-2017-video", "audioset-frame"])
def test_real_shards_with_a_flipped_byte(tmp_path, real_data, name, capsys):
    """A real shard each, read whole: what is not reported is as it was."""
    dataset = open_dataset(real_data / name)
    split = next(iter(dataset.splits))
    original = dataset.splits[split][0]
    with open(original, "rb") as file:
        whole = file.read()
    copy = tmp_path / "copy.tfrecord"
    dataset.splits[split] = (str(copy),)

    def read(data):
        copy.write_bytes(data)
        skipped = Skipped.of("skip 1")
        every = {}
        for batch in dataset.batches(split, batch_size=64, on_fault=skipped):
            for row, video_id in enumerate(batch["id"].tolist()):
                every[video_id] = {key: values[row].tobytes() for key, values in batch.items()}
        return every, list(skipped.records.values())

    sound, faults = read(whole)
    assert not faults
    rng, count = np.random.default_rng(3), 100
    for byte in rng.integers(len(whole), size=count).tolist():
        data = bytearray(whole)
        data[byte] ^= 1 << int(rng.integers(8))
        videos, faults = read(bytes(data))
        assert len(faults) == 1 and faults[0][0] <= byte
        assert len(videos) == len(sound) - 1
        assert all(videos[key]["id"] == sound[key]["id"] for key in videos)
        assert all(videos[key].get("labels") == sound[key].get("labels") for key in videos)
    with capsys.disabled():
        print(f"\n{name}: {count} flips in {len(whole):,} bytes, all reported")


def _slowly(parser, record):
    """What TensorFlow's own messages say of a record: values by modality, or None where they cannot be parsed."""
    level = tf.train.Example if hasattr(parser, "_prefixes") else tf.train.SequenceExample
    try:
        return level.FromString(record)
    except Exception:
        return None


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_quick_road_reads_what_the_protobuf_library_reads(tmp_path, layout):
    """Of hostile records too: where the library can parse one, both say the same or both refuse."""
    shard = Shard(tmp_path, layout)
    parser = shard.dataset.batches("train", batch_size=1)._parser
    rng, compared = np.random.default_rng(4), 0
    for _ in range(1500):
        record = bytearray(shard.records[int(rng.integers(RECORDS))])
        record[int(rng.integers(len(record)))] ^= int(rng.integers(1, 256))
        record = bytes(record)
        parsed = _slowly(parser, record)
        if parsed is None:
            continue
        # Written anew by the library, it is laid out as the quick road likes it.
        again = parsed.SerializeToString(deterministic=True)
        assert _outcome(parser, record) == _outcome(parser, again)
        quick, slow = (
            _outcome(parser, again),
            _outcome(parser, again + b"\x50\x07"),
        )  # an unknown number: slow
        assert quick == slow
        compared += 1
    assert compared > 300


def _outcome(parser, record):
    try:
        return _digest(parser.parse([record]))
    except ValueError as fault:
        return fault.kind
