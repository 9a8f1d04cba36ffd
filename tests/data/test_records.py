"""Shards against TensorFlow's own reader and writer, and everything that can be wrong with a file."""

import gzip
import os
import tracemalloc
import zlib

import numpy as np
import pytest
import tensorflow as tf

from dmlkit.data.records import (
    FOOTER_BYTES,
    HEADER_BYTES,
    count_records,
    frame_record,
    masked_crc,
    read_record_at,
    read_records,
    scan_headers,
    scan_records,
    write_shard,
)
from dmlkit.errors import DataError

LENGTHS = [0, 1, 7, 300, 5000, 40, 1_200_000, 12]


def random_records(lengths=LENGTHS):
    rng = np.random.default_rng(0)
    return [rng.bytes(length) for length in lengths]


def offsets(data):
    return np.cumsum([0, *(HEADER_BYTES + len(each) + FOOTER_BYTES for each in data)]).tolist()


def write(path, data):
    path.write_bytes(b"".join(map(frame_record, data)))
    return path


def scanned(path, **settings):
    return [(record.number, record.offset, record.error) for record in scan_records(path, **settings)]


def test_what_tensorflow_wrote_is_read(tmp_path):
    data, path = random_records(), tmp_path / "a.tfrecord"
    with tf.io.TFRecordWriter(str(path)) as writer:
        for each in data:
            writer.write(each)
    assert list(read_records(path)) == data
    assert scanned(path) == [(number, offset, None) for number, offset in enumerate(offsets(data)[:-1])]
    assert b"".join(map(frame_record, data)) == path.read_bytes()
    headers = list(scan_headers(path))
    assert headers == [(offset, len(each), None) for offset, each in zip(offsets(data), data, strict=False)]
    assert [read_record_at(str(path), n, *header[:2]) for n, header in enumerate(headers)] == data
    assert count_records(str(path)) == len(data)


def test_remote_files_are_read_and_written_the_same_way():
    path, data = "ram://records/a.tfrecord", random_records()
    assert write_shard(path, data) == len(data)
    assert list(tf.data.TFRecordDataset(path).as_numpy_iterator()) == data
    assert list(read_records(path)) == data and [length for _, length, _ in scan_headers(path)] == LENGTHS
    with pytest.raises(DataError, match=r"ram://records/b\.tfrecord is not there"):
        list(scan_records("ram://records/b.tfrecord"))
    with pytest.raises(ZeroDivisionError):
        write_shard(path, (1 // 0 for _ in "a"))
    assert tf.io.gfile.listdir("ram://records") == ["a.tfrecord"] and list(read_records(path)) == data


def test_a_shard_appears_whole_or_not_at_all(tmp_path):
    def interrupted():
        yield b"one"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_shard(tmp_path / "a" / "train.tfrecord", interrupted())
    assert list((tmp_path / "a").iterdir()) == []


def test_a_file_cut_anywhere(tmp_path):
    data = random_records([30, 0, 50])
    whole, path, ends = b"".join(map(frame_record, data)), tmp_path / "a.tfrecord", offsets(data)
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        complete = sum(end <= length for end in ends[1:])
        expected = [(number, ends[number], None) for number in range(complete)]
        if length not in ends:
            expected.append((complete, ends[complete], "cut off"))
        assert scanned(path) == expected
        assert [(offset, error) for offset, _, error in scan_headers(path)] == [each[1:] for each in expected]
        # Between two records only a count shows it.
        assert (scanned(path, expected_count=3)[-1][2] == "count") == (length in ends)


def test_no_shard_at_all_and_headers_far_behind_damage(tmp_path):
    path, record = tmp_path / "a.tfrecord", frame_record(random_records([100])[0])
    path.write_bytes(bytes(3_000_000))
    assert scanned(path) == [(0, 0, "length checksum")]
    # Further than one read, and right across the border of two.
    for gap in (1 << 20, (1 << 20) - 5, (1 << 20) - 12, 3_000_001):
        for filler in (b"\x01", b"\x00"):
            path.write_bytes(b"\x01" + filler * gap + record)
            assert scanned(path) == [(0, 0, "length checksum"), (1, 1 + gap, None)]


def test_hostile_lengths_take_no_memory(tmp_path):
    """Lengths with valid checksums, of more than any machine has."""
    record, path = frame_record(random_records([100])[0]), tmp_path / "a.tfrecord"
    for length in (2**48, 2**63, 2**64 - 16):
        header = length.to_bytes(8, "little")
        path.write_bytes(record + header + masked_crc(header).to_bytes(4, "little") + bytes(40) + record)
        assert [record.error for record in scan_records(path)] == [None, "cut off", None]
        assert [error for _, _, error in scan_headers(path)] == [None, "cut off", None]


def test_a_shard_that_changes_while_it_is_read(tmp_path):
    data = random_records([600_000] * 8)
    path = write(tmp_path / "shrinks.tfrecord", data)
    reading = scan_records(path)
    found = [next(reading)]
    os.truncate(path, 2_900_000)
    found += reading
    assert [record.error for record in found] == [None] * 4 + ["changed"]
    assert [record.data for record in found[:-1]] == data[:4]
    path = write(tmp_path / "grows.tfrecord", data)
    reading = read_records(path)
    next(reading)
    with path.open("ab") as file:
        file.write(frame_record(b"one more"))
    with pytest.raises(DataError, match=r"grows\.tfrecord, record 8 .*grew or shrank while it was read"):
        list(reading)
    with pytest.raises(DataError, match=r"cannot be read \(Is a directory\)"):
        list(scan_records(tmp_path))


# Compressed as a whole.

PACKED = {"GZIP": gzip.compress, "ZLIB": zlib.compress}


@pytest.mark.parametrize("kind", PACKED)
def test_what_tensorflow_compressed_is_read(tmp_path, kind):
    data, path, plain = (
        random_records(),
        tmp_path / "a.tfrecord",
        write(tmp_path / "b.tfrecord", random_records()),
    )
    with tf.io.TFRecordWriter(str(path), options=kind) as writer:
        for each in data:
            writer.write(each)
    assert path.read_bytes()[:1] != plain.read_bytes()[:1]
    assert list(scan_records(path)) == [record._replace(shard=str(path)) for record in scan_records(plain)]
    headers = list(scan_headers(path))
    assert headers == list(scan_headers(plain)) and count_records(str(path)) == len(data)
    assert [read_record_at(str(path), n, *header[:2]) for n, header in enumerate(headers)] == data
    # Damage within, whose checksums the compression does not see; and a length that reaches beyond the end.
    damaged = bytearray(plain.read_bytes())
    for byte in (offsets(data)[3] + 40, offsets(data)[5] + 2, offsets(data)[6] + 1):
        damaged[byte] ^= 1
    far = (2**48).to_bytes(8, "little")
    damaged += far + masked_crc(far).to_bytes(4, "little") + bytes(40) + frame_record(b"last")
    plain.write_bytes(damaged)
    path.write_bytes(PACKED[kind](damaged))
    assert list(scan_records(path)) == [record._replace(shard=str(path)) for record in scan_records(plain)]
    assert list(scan_headers(path)) == list(scan_headers(plain)) and scanned(path)[-2][2] == "cut off"


def test_members_padding_and_nothing(tmp_path):
    data, path = random_records(), tmp_path / "a.tfrecord"
    members = [gzip.compress(b"".join(map(frame_record, each))) for each in (data[:3], [], data[3:])]
    path.write_bytes(members[0] + members[1] + bytes(200_000) + members[2] + bytes(512))
    assert list(read_records(path)) == data
    path.write_bytes(members[0] + b"what is this")
    assert scanned(path)[3:] == [(3, offsets(data)[3], "compression")]
    for empty in (b"", members[1], zlib.compress(b"")):
        path.write_bytes(empty)
        assert list(scan_records(path)) == []


def test_compressed_shards_are_read_in_little_memory(tmp_path):
    path, record = tmp_path / "a.tfrecord", frame_record(bytes(200_000))
    path.write_bytes(gzip.compress(record * 300, 1))
    tracemalloc.start()
    assert sum(len(each) for each in read_records(path)) == 60_000_000
    read_record_at(str(path), 290, 290 * len(record), 200_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 << 20
