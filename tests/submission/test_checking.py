"""A file that is whole, and the same file made wrong in every way there is: each told, with its line."""

import gzip
import random
import shutil
from pathlib import Path

import pytest

from dmlkit.data import open_dataset, read_contexts
from dmlkit.errors import DataError, UsageError
from dmlkit.submission import HEADER, KINDS, check
from dmlkit.submission.checking import find_faults

IDS = ("aa", "bb", "cc", "dd")
WHOLE = [HEADER, "aa,3 0.9 1 0.5", "bb,0 1 9 1e-05 2 0", "cc,9 .5", "dd,4 0.25 5 0.25"]


def faults_of(folder, content, *, name="s.csv", ids=IDS):
    """(line, kind) of every fault of the lines, or of the bytes."""
    content = content if isinstance(content, bytes) else ("\n".join(content) + "\n").encode()
    file = folder / name
    file.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    found = list(find_faults(file, ids=ids, num_classes=10))
    assert {fault.kind for fault in found} <= set(KINDS)
    assert all(fault.what.isprintable() and len(fault.what) < 200 for fault in found)
    return [(fault.line, fault.kind) for fault in found]


def with_line(line, number=3):
    return [*WHOLE[: number - 1], line, *WHOLE[number:]]


@pytest.mark.parametrize("name", ["s.csv", "s.csv.gz"])
def test_a_whole_file_has_no_fault(tmp_path, name):
    assert faults_of(tmp_path, WHOLE, name=name) == []
    assert faults_of(tmp_path, "\n".join(WHOLE).encode(), name=name) == [], "its last line may lack its end"


@pytest.mark.parametrize(
    ("line", "kinds"),
    [
        ("", ["empty line"]),
        ("bb", ["fields"]),
        ("bb,1 0.5,2 0.4", ["fields"]),
        (",1 0.5", ["id"]),
        ("bb,", ["no pairs"]),
        ("bb, ", ["no pairs"]),
        ("bb,1 0.5 2", ["odd number of words"]),
        ("bb,1  0.5", ["spaces"]),
        ("bb,1 0.5 ", ["spaces"]),
        ("bb, 1 0.5", ["spaces"]),
        ("bb,1\t0.5", ["spaces"]),
        ("bb,x 0.5", ["class"]),
        ("bb,-1 0.5", ["class"]),
        ("bb,1.0 0.5", ["class"]),
        ("bb,1_0 0.5", ["class"]),
        ("bb,\u0661 0.5", ["class"]),
        ("bb,10 0.5", ["class"]),
        ("bb,99999999999999999999 0.5", ["class"]),
        ("bb,9 0.5", []),
        ("bb,1 high", ["score"]),
        ("bb,1 0,5", ["fields"]),
        ("bb,1 0x1p-1", ["score"]),
        ("bb,1 1_0", ["score"]),
        ("bb,1 NaN", ["not finite"]),
        ("bb,1 -inf", ["not finite"]),
        ("bb,1 Infinity", ["not finite"]),
        ("bb,1 1e999", ["not finite"]),
        ("bb,1 0.5 1 0.4", ["repeated class"]),
        ("bb,1 0.4 2 0.5", ["order"]),
        ("bb,1 0.4 2 0.5 3 0.6", ["order"]),
        ("bb,x 0.4 2 nan 10 0.3 4 y", ["class", "not finite", "score", "class"]),
        ("aa,1 0.5", ["duplicate id"]),
        ("zz,1 0.5", ["unknown id"]),
        (" bb,1 0.5", ["unknown id"]),
        ('"bb",1 0.5', ["unknown id"]),
        ("b\x1b[31mb,1 0.5", ["unknown id"]),
    ],
)
def test_a_wrong_line_is_told_with_its_number(tmp_path, line, kinds):
    missing = [] if line.startswith("bb") else [(None, "missing id")]
    assert faults_of(tmp_path, with_line(line)) == [(3, kind) for kind in kinds] + missing


def test_twenty_pairs_and_no_more(tmp_path):
    for pairs, kinds in ((20, []), (21, [(2, "too many pairs")])):
        line = "v," + " ".join(f"{label} 0.5" for label in range(pairs))
        (tmp_path / "s.csv").write_text(f"{HEADER}\n{line}\n")
        found = find_faults(tmp_path / "s.csv", ids=["v"], num_classes=100)
        assert [(fault.line, fault.kind) for fault in found] == kinds


def test_every_fault_of_every_line_is_told(tmp_path):
    lines = ["VideoId;Pairs", "aa,1 0.4 1 0.5", "", "aa,11 nan 3", "ee,1 0.1", "ee,1 0.1"]
    assert faults_of(tmp_path, lines) == [
        (1, "header"),
        (2, "repeated class"),
        (2, "order"),
        (3, "empty line"),
        (4, "odd number of words"),
        (4, "not finite"),
        (4, "duplicate id"),
        (5, "unknown id"),
        (6, "duplicate id"),
        (None, "missing id"),
        (None, "missing id"),
        (None, "missing id"),
    ]


def test_what_other_programs_write(tmp_path):
    whole = ("\n".join(WHOLE) + "\n").encode()
    assert faults_of(tmp_path, b"\xef\xbb\xbf" + whole) == [(1, "byte order mark")]
    assert faults_of(tmp_path, whole.replace(b"\n", b"\r\n")) == [(line, "line end") for line in range(1, 6)]
    assert faults_of(tmp_path, whole + b"\n\n") == [(6, "empty line"), (7, "empty line")]
    utf16 = faults_of(tmp_path, whole.decode().encode("utf-16"))
    assert {(1, "header"), (1, "encoding")} <= set(utf16)


@pytest.mark.parametrize("content", [b"", b"\n"])
def test_an_empty_file(tmp_path, content):
    assert faults_of(tmp_path, content) == [(1, "header")] + 4 * [(None, "missing id")]


def test_a_line_without_an_end_takes_no_memory(tmp_path):
    """A line of 50 MB is told and passed by; numbers of a thousand digits are words like others."""
    content = [*WHOLE[:2], "bb,1 0." + "9" * 50_000_000, "cc," + "1" * 5000 + " " + "2" * 400, WHOLE[4]]
    assert faults_of(tmp_path, content) == [(3, "too long"), (4, "class")]


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.csv"):
        list(find_faults(tmp_path / "nowhere.csv", ids=IDS, num_classes=10))
    for content in (b"no gzip", gzip.compress(b"\n".join([b"x"] * 9999))[:-20]):
        (tmp_path / "cut.csv.gz").write_bytes(content)
        with pytest.raises(DataError, match=r"cut\.csv\.gz"):
            list(find_faults(tmp_path / "cut.csv.gz", ids=IDS, num_classes=10))


def test_random_damage_is_never_more_than_faults(tmp_path):
    rng = random.Random(0)
    whole = bytearray(("\n".join(WHOLE) + "\n").encode())
    for _ in range(500):
        damaged = bytearray(whole)
        for _ in range(rng.randint(1, 4)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        faults_of(tmp_path, bytes(damaged[: rng.randint(1, len(damaged))]))


def test_a_data_sets_ids_and_classes_are_held_against_it(generated, tmp_path):
    """At either level, with labels and without."""
    for dataset in map(open_dataset, (generated, generated / "video")):
        for split in ("test", "validate"):
            ids = [video for batch in dataset.batches(split, batch_size=64) for video in batch["id"].tolist()]
            lines = [HEADER, *(f"{video},{dataset.num_classes - 1} 0.5" for video in ids)]
            (tmp_path / "s.csv").write_text("\n".join(lines) + "\n")
            checked = check(tmp_path / "s.csv", data=dataset, split=split)
            assert (checked.videos, list(checked.faults)) == (len(ids), [])
            (tmp_path / "s.csv").write_text("\n".join(lines[:-1]).replace("23 0.5", "24 0.5", 1))
            found = list(check(tmp_path / "s.csv", data=str(dataset.path), split=split).faults)
            assert [(fault.line, fault.kind) for fault in found] == [(2, "class"), (None, "missing id")]
            assert ids[-1] in found[1].what
    with pytest.raises(UsageError, match="no split 'tset'"):
        check(tmp_path / "s.csv", data=generated, split="tset")


def test_contexts_are_the_batches_ids_and_labels(generated):
    for dataset in map(open_dataset, (generated, generated / "video")):
        read = [
            (video, sorted(row.nonzero()[0].tolist()))
            for batch in dataset.batches("tuning", batch_size=7)
            for video, row in zip(batch["id"].tolist(), batch["labels"], strict=True)
        ]
        assert [(video, sorted(classes)) for video, classes in read_contexts(dataset, "tuning")] == read
        assert [classes for _, classes in read_contexts(dataset, "test")] == [[]] * 20


def test_a_damaged_record_is_named(generated, tmp_path):
    shutil.copytree(generated, tmp_path / "data")
    for folder in (tmp_path / "data", tmp_path / "data" / "video"):
        dataset = open_dataset(folder)
        shard = Path(dataset.splits["test"][-1])
        content = bytearray(shard.read_bytes())
        content[40] ^= 1
        shard.write_bytes(content)
        with pytest.raises(DataError, match=rf"{shard.name}, record 0 .*checksum"):
            list(read_contexts(dataset, "test"))
