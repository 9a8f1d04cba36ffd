"""Submissions: written, checked line by line, and evaluated as the scores they were written from."""

import gzip
import re
from unicodedata import normalize

import numpy as np
import pandas as pd
import pytest

from dmlkit import submission
from dmlkit.data import open_dataset, serialize_video, write_shard
from dmlkit.errors import DataError
from dmlkit.metrics import gap_interval, global_average_precision, top_k_pairs
from dmlkit.submission import HEADER, check, evaluate, match_lines, submission_lines

IDS = ("aa", "bb", "cc", "dd")
WHOLE = [HEADER, "aa,3 0.9 1 0.5", "bb,0 1 9 1e-05 2 0", "cc,9 .5", "dd,4 0.25 5 0.25"]


def faults_of(folder, content, name="s.csv"):
    """(line, kind) of every fault of the lines, or of the bytes."""
    content = content if isinstance(content, bytes) else ("\n".join(content) + "\n").encode()
    (folder / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    lines = submission.match_lines(folder / name, ids=IDS, num_classes=10)
    found = [fault for line in lines for fault in line.faults]
    assert all(fault.what.isprintable() and len(fault.what) < 300 for fault in found)
    return [(fault.line, fault.kind) for fault in found]


def test_a_whole_file_has_no_fault(tmp_path):
    for name in ("s.csv", "s.csv.gz"):
        assert faults_of(tmp_path, WHOLE, name) == []
    assert faults_of(tmp_path, "\n".join(WHOLE).encode()) == []  # its last line may lack its end
    twenty = "dd," + " ".join(f"{label % 10} 0.5" for label in range(20))
    assert faults_of(tmp_path, [*WHOLE[:-1], twenty]) == [(5, "class")]  # repeated, but not too many


LINES = {
    "bb": ["format"],
    ",1 0.5": ["format"],
    "bb,1 0.5 2": ["format"],
    "bb,1 0.5\r": ["format"],
    "bb," + "1 0.5 " * 20_000: ["format", "format", "class"],
    "bb,\u0661 0.5": ["class"],
    "bb,1 0x1p-1": ["score"],
    "bb,1 0.4 2 0.5 3 0.6": ["order"],
    "bb,x 0.4 2 nan 10 0.3 4 y": ["class", "score", "score", "class"],
    "aa,1 0.5": ["duplicate id"],
    "b\x1b[31mb,1 0.5": ["unknown id"],
    "bb," + " ".join(f"{label} 0.5" for label in range(10)) + " 0 0.4" * 11: ["format", "class"],
}


def test_a_wrong_line_is_reported_with_its_number(tmp_path):
    for line, kinds in LINES.items():
        missing = [] if line.startswith("bb,") else [(None, "missing id")]
        found = faults_of(tmp_path, [*WHOLE[:2], line, *WHOLE[3:]])
        assert found == [(3, kind) for kind in kinds] + missing, line[:80]
    for header in (b"VideoId;Pairs", b"\xef\xbb\xbf" + HEADER.encode(), b""):
        content = b"\n".join([header, *(line.encode() for line in WHOLE[1:])])
        assert faults_of(tmp_path, content) == [(1, "header")]
    assert faults_of(tmp_path, [*WHOLE[:2], '"bb,1 0.5', *WHOLE[3:]]) == [(3, "format")]
    assert (2, "format") in faults_of(tmp_path, HEADER.encode() + b"\naa,1 0.5\xff")


def test_files_that_cannot_be_read(tmp_path):
    (tmp_path / "cut.csv.gz").write_bytes(gzip.compress("\n".join(WHOLE * 999).encode())[:-20])
    for name in ("cut.csv.gz", "missing.csv", "nul\0.csv", "."):
        with pytest.raises(DataError, match=rf"{re.escape(name.strip('.'))} cannot be read \(.+\)"):
            list(match_lines(tmp_path / name, ids=(), num_classes=1))


def write(file, ids, scores, order=None):
    lines = submission_lines(ids, top_k_pairs(scores, 20)).splitlines(keepends=True)
    with submission.file_for(file) as opened:
        opened.write(f"{HEADER}\n".encode() + b"".join(lines if order is None else [lines[n] for n in order]))
    return file


def test_it_evaluates_as_the_scores_it_was_written_from(generated, tmp_path):
    (batch,) = open_dataset(generated).batches("validate", batch_size=100)
    ids, labels = batch["id"].tolist(), batch["labels"]
    rng = np.random.default_rng(0)
    scores = (np.round(rng.random(labels.shape) * 50) / 50 * 0.7 + labels * 0.3).astype(np.float16)
    for name, order in (("s.csv", None), ("s.csv.gz", rng.permutation(len(ids)))):
        found = evaluate(write(tmp_path / name, ids, scores, order=order), data=generated)
        assert found["gap"] == global_average_precision(scores.astype(np.float32), labels)
        assert found["gap_interval"] == list(gap_interval(scores.astype(np.float32), labels))
        assert (found["videos"], found["num_classes"]) == (100, 24)
    write(tmp_path / "s.csv", ids[1:], scores[1:])
    with pytest.raises(DataError, match=rf"s\.csv: missing id: '{ids[0]}' has no line \(0 more faults\)"):
        evaluate(tmp_path / "s.csv", data=generated)
    with pytest.raises(DataError, match="label"):
        evaluate(tmp_path / "s.csv", data=generated, split="test")


def backwards(lines):
    pairs = [line.split(b",")[1].split(b" ") for line in lines[1:]]
    turned = [b" ".join(each[place ^ 1] for place in range(len(each) - 1, -1, -1)) for each in pairs]
    ids = [line.split(b",")[0] for line in lines[1:]]
    return [lines[0], *(b"%s,%s" % pair for pair in zip(ids, turned, strict=True))]


# How a clean file may have been changed on its way: by what, how many lines (with its header or not), what is noted.
CHANGES = {
    "CR": (lambda lines: [line + b"\r" for line in lines], 101, "CR and LF"),
    "BOM": (lambda lines: [b"\xef\xbb\xbf" + lines[0], *lines[1:]], 1, "header"),
    "header": (lambda lines: [b'videoid , "LabelConfidencePairs"', *lines[1:]], 1, "header"),
    "quotes": (lambda lines: [b'"%s"' % line.replace(b",", b'","') for line in lines], 101, "quotation"),
    "blanks": (lambda lines: [line.replace(b" ", b"  ") + b" \t" for line in lines], 101, "blanks"),
    "around": (lambda lines: [lines[0], *(line.replace(b",", b" ,") for line in lines[1:])], 100, "blanks"),
    "unsorted": (backwards, 100, "descending order"),
    "NFD": (lambda lines: [normalize("NFD", line.decode()).encode() for line in lines], 50, "Unicode"),
    "empty": (lambda lines: [*lines, b"", b" "], 2, "empty"),
}


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    """A data set half of whose ids have an accent, the lines of a submission for it, and its GAP."""
    folder, rng = tmp_path_factory.mktemp("clean"), np.random.default_rng(3)
    labels = rng.random((100, 24)) < 0.2
    labels[:, 0] = True
    ids = [f"v{row}\u00e9" if row % 2 else f"v{row:02}" for row in range(100)]
    vector = {"mean_rgb": np.zeros(4, np.float32)}
    records = [
        serialize_video(video_id=video, labels=np.flatnonzero(row).tolist(), features=vector)
        for video, row in zip(ids, labels, strict=True)
    ]
    for split in ("train", "tuning", "validate"):
        write_shard(folder / f"{split}.tfrecord", records)
    scores = (np.round(rng.random(labels.shape) * 50) / 50 * 0.7 + labels * 0.3).astype(np.float16)
    lines = write(folder / "s.csv", ids, scores).read_bytes().splitlines()
    return folder, lines, global_average_precision(scores.astype(np.float32), labels)


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_clear_is_measured_alike_and_noted(change, clean, tmp_path):
    folder, lines, gap = clean
    alter, changed, what = CHANGES[change]
    (tmp_path / "s.csv").write_bytes(b"\n".join(alter(lines)) + b"\n")
    found = evaluate(tmp_path / "s.csv", data=folder)
    assert found["gap"] == gap and what in found["notes"][-1]
    counts = [int(re.search(r", (\d+) line", note)[1]) for note in found["notes"]]
    assert counts == ([1, 100] if changed == 101 else [changed])
    faults = list(check(tmp_path / "s.csv", data=folder, split="validate")[1])
    assert len(faults) == changed and all(fault.clear for fault in faults)


def test_videos_of_one_id_cannot_be_measured_by_it(clean, tmp_path):
    records = [
        serialize_video(video_id=video, labels=[1], features={"mean_rgb": np.zeros(4, np.float32)})
        for video in ("aa", "bb", "aa")
    ]
    for split in ("train", "tuning", "validate"):
        write_shard(tmp_path / f"{split}.tfrecord", records)
    with pytest.raises(DataError, match=r"3 videos of 'validate' in .* share 2 ids"):
        evaluate(clean[0] / "s.csv", data=tmp_path)


def test_every_score_is_read_as_it_was_written_and_ids_break_no_line(tmp_path):
    halves = np.arange(np.float16(1).view(np.uint16) + 1, dtype=np.uint16).view(np.float16)[::7]
    halves = np.sort(halves)[::-1][: len(halves) // 20 * 20].reshape(-1, 20)
    ids = [f"v{row}" for row in range(len(halves))]
    write(tmp_path / "s.csv", ids, halves)
    lines = match_lines(tmp_path / "s.csv", ids=ids, num_classes=20)
    read = [line.scores for line in lines if line.video]
    assert (np.array(read, np.float16) == halves).all()
    top = top_k_pairs(halves[:1], 2)
    named = ["a,b", 'a"b', '"', " a ", "ne\u0301", "\u5f71\u3000\u7247", "\U0001f469\u200d\U0001f467", ","]
    write(tmp_path / "s.csv", named, halves[: len(named)])
    lines = match_lines(tmp_path / "s.csv", ids=named, num_classes=20)
    assert [line.video for line in lines if not line.faults][1:] == named
    assert pd.read_csv(tmp_path / "s.csv")["VideoId"].tolist() == named
    assert b"\x1b" not in submission.lines_for_people(
        ["v\x1b"], top, [f"class {number}" for number in range(20)]
    )
    for bad in ("", "a\nb", "a\x85", "a\u2028b", "\ud800"):
        with pytest.raises(DataError, match="cannot be part of a submission"):
            submission_lines([bad], top)
