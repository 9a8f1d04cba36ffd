"""The framing of shards against TensorFlow's own reader and writer, and everything that can be wrong with it."""

import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import tensorflow as tf
from dmlkit.data.framing import FOOTER, HEADER, frame, hop, masked, read_at, read_records, walk_records
from dmlkit.data.shards import count_places, count_records

from dmlkit.errors import DataError

LENGTHS = [0, 1, 7, 300, 5000, 40, 2_500_000, 12]


def some_records(lengths=LENGTHS):
    rng = np.random.default_rng(0)
    return [rng.bytes(length) for length in lengths]


def offsets(records):
    return np.cumsum([0, *(HEADER + len(record) + FOOTER for record in records)]).tolist()


def write(path, records):
    path.write_bytes(b"".join(map(frame, records)))
    return path


def told(path, **settings):
    return [(framed.number, framed.offset, framed.fault) for framed in walk_records(path, **settings)]


def test_what_tensorflow_wrote_is_read(tmp_path):
    records, path = some_records(), tmp_path / "a.tfrecord"
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record)
    assert list(read_records(path)) == records
    assert [framed.record for framed in walk_records(path)] == records
    assert told(path) == [(number, offset, None) for number, offset in enumerate(offsets(records)[:-1])]
    # The bytes themselves.
    assert b"".join(map(frame, records)) == path.read_bytes()


def test_hopping_tells_the_same_places(tmp_path):
    records = some_records()
    path = write(tmp_path / "a.tfrecord", records)
    hops = list(hop(path))
    assert hops == [
        (offset, len(record), None) for offset, record in zip(offsets(records), records, strict=False)
    ]
    assert [read_at(str(path), n, offset, length) for n, (offset, length, _) in enumerate(hops)] == records
    assert count_records(str(path)) == count_places(str(path)) == len(records)


def test_remote_files_are_read_the_same_way():
    path, records = "ram://framing/a.tfrecord", some_records()
    with tf.io.gfile.GFile(path, "wb") as file:
        file.write(b"".join(map(frame, records)))
    assert list(read_records(path)) == records
    assert [length for _, length, _ in hop(path)] == LENGTHS
    with pytest.raises(DataError, match=r"ram://framing/b\.tfrecord is not there"):
        list(walk_records("ram://framing/b.tfrecord"))


@pytest.mark.parametrize("records", [[], [b""], [b"", b""]])
def test_empty_shards_and_records(tmp_path, records):
    assert list(read_records(write(tmp_path / "a.tfrecord", records))) == records


def broken_at(path, place):
    data = bytearray(path.read_bytes())
    data[place] ^= 0x10
    path.write_bytes(data)


@pytest.mark.parametrize("number", range(len(LENGTHS)))
@pytest.mark.parametrize("byte", range(HEADER))
def test_after_a_broken_length_comes_the_next_record(tmp_path, number, byte):
    records = some_records()
    path = write(tmp_path / "a.tfrecord", records)
    begin = offsets(records)[number]
    broken_at(path, begin + byte)
    every = list(walk_records(path))
    assert [framed.record for framed in every] == [*records[:number], None, *records[number + 1 :]]
    assert [framed.number for framed in every] == list(range(len(records)))
    assert [framed.offset for framed in every] == offsets(records)[:-1]
    assert [framed.number for framed in every if framed.fault == "length checksum"] == [number]
    assert [(offset, fault) for offset, _, fault in hop(path)] == [
        (each.offset, each.fault) for each in every
    ]
    with pytest.raises(DataError, match=rf"record {number} \(counted from 0\), byte {begin}: .*length"):
        list(read_records(path))
    with pytest.raises(DataError, match=rf"record {number} \(counted from 0\), byte {begin}: .*length"):
        count_records(str(path))
    assert count_places(str(path)) == len(records)


def test_after_a_broken_record_comes_the_next(tmp_path):
    records = some_records()
    path = write(tmp_path / "a.tfrecord", records)
    begins = offsets(records)
    broken_at(path, begins[3] + HEADER + 5)  # the record itself
    broken_at(path, begins[6] - 1)  # the checksum of record 5
    assert [number for number, _, fault in told(path) if fault == "record checksum"] == [3, 5]
    assert {fault for _, _, fault in told(path)} == {None, "record checksum"}
    assert {fault for _, _, fault in told(path, verify=False)} == {None}
    with pytest.raises(
        DataError, match=r"record 3 \(counted from 0\), byte 56: the shard is damaged, its checksum"
    ):
        list(read_records(path))
    with pytest.raises(DataError, match=r"record 5 \(counted from 0\), byte \d+: the shard is damaged"):
        read_at(str(path), 5, begins[5], LENGTHS[5])


def test_a_file_cut_anywhere(tmp_path):
    records = some_records([30, 0, 50])
    whole = b"".join(map(frame, records))
    path, ends = tmp_path / "a.tfrecord", offsets(records)
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        expected = [
            (number, begin, None) for number, begin in enumerate(ends[:-1]) if ends[number + 1] <= length
        ]
        if length not in ends:
            expected.append((len(expected), ends[len(expected)], "cut off"))
        assert told(path) == expected
        assert [(offset, fault) for offset, _, fault in hop(path)] == [each[1:] for each in expected]


def test_what_is_no_shard_at_all(tmp_path):
    path = tmp_path / "a.tfrecord"
    path.write_bytes(b"<html>404, there is no such shard</html>" * 1000)
    assert told(path) == [(0, 0, "length checksum")]
    path.write_bytes(bytes(3_000_000))
    assert told(path) == [(0, 0, "length checksum")]


def test_a_header_far_behind_a_broken_one_is_found(tmp_path):
    """Further than one read, and right across the border of two."""
    record = some_records([100])[0]
    path = tmp_path / "a.tfrecord"
    for gap in (1 << 20, (1 << 20) - 5, (1 << 20) - 11, (1 << 20) - 12, 2 << 20, 3_000_001):
        path.write_bytes(b"\x01" * (1 + gap) + frame(record))
        assert told(path) == [(0, 0, "length checksum"), (1, 1 + gap, None)]


def hostile(length):
    """A header that tells any length, with the checksum that belongs to it."""
    told = length.to_bytes(8, "little")
    return told + masked(int(_crc(told))).to_bytes(4, "little")


def _crc(data):
    """CRC-32C bit by bit: nobody's tables."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def test_hostile_lengths_take_no_memory(tmp_path):
    """Lengths that their checksum vouches for, in a process that may have 400 MB in all."""
    record = some_records([100])[0]
    for number, length in enumerate((2**63, 2**64 - 1, 2**62, 2**40, 2**31, 2**64 - 16)):
        data = frame(record) + hostile(length) + bytes(40) + frame(record)
        (tmp_path / f"{number}.tfrecord").write_bytes(data)
    program = textwrap.dedent(
        """
        import pathlib, resource, sys
        from dmlkit.data.framing import hop, walk_records
        resource.setrlimit(resource.RLIMIT_AS, (400 << 20, 400 << 20))
        try:
            bytearray(500 << 20)
        except MemoryError:
            print("limited")
        for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):
            print([framed.fault for framed in walk_records(path)], [fault for _, _, fault in hop(path)])
        """
    )
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["limited"] + ["[None, 'cut off', None] [None, 'cut off', None]"] * 6


def test_a_shard_that_shrinks_while_it_is_read(tmp_path):
    records = some_records([600_000] * 8)
    path = write(tmp_path / "a.tfrecord", records)
    reading = walk_records(path)
    seen = [next(reading)]
    os.truncate(path, 2_900_000)
    seen += reading
    assert [framed.fault for framed in seen] == [None] * 4 + ["changed"]
    assert [framed.record for framed in seen[:-1]] == records[:4]


def test_a_shard_that_grows_while_it_is_read(tmp_path):
    records = some_records([1000] * 8)
    path = write(tmp_path / "a.tfrecord", records)
    reading = walk_records(path)
    seen = [next(reading)]
    with path.open("ab") as file:
        file.write(frame(b"one more"))
    seen += reading
    assert [framed.fault for framed in seen] == [None] * 8 + ["changed"]
    reading = read_records(path)
    next(reading)
    os.truncate(path, offsets(records)[-1])
    with pytest.raises(DataError, match=r"a\.tfrecord, record \d+ .*grew or shrank while it was read"):
        list(reading)


def test_a_shard_that_vanishes_while_it_is_read(tmp_path):
    path = write(tmp_path / "a.tfrecord", some_records([1000] * 8))
    reading = walk_records(path)
    next(reading)
    path.unlink()
    with pytest.raises(DataError, match=r"a\.tfrecord is not there \(any more\)"):
        list(reading)
    with pytest.raises(DataError, match="is not there"):
        count_records(str(path))


def test_what_the_system_refuses_is_named(tmp_path):
    with pytest.raises(DataError, match=r"cannot be read \(Is a directory\)"):
        list(walk_records(tmp_path))
