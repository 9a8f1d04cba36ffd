"""Submissions of segments: the best of each class, written in flat memory, checked by line, measured as the scores."""

import gzip
import tracemalloc

import numpy as np
import pytest

from dmlkit import segment_submission
from dmlkit.data import serialize_frames, write_shard
from dmlkit.errors import DataError
from dmlkit.metrics import map_at_k_interval, map_at_k_of_pairs, mean_average_precision_at_k, rated_pairs
from dmlkit.segment_submission import HEADER, check, evaluate, match_lines, write

CLASSES, NAMES = 6, ("v", "a:b", "né", "影　片")


@pytest.fixture(scope="module")
def rated(tmp_path_factory):
    """A data set whose videos have names of all kinds; ids, labels and ratings of validate's segments, by row."""
    folder, rng = tmp_path_factory.mktemp("rated"), np.random.default_rng(0)
    rows = {}
    for split in ("train", "tuning", "validate", "test"):
        records = []
        for number in range(40):
            video, ratings = f"{NAMES[number % 4]}{number}", []
            for start in rng.permutation(20)[:4] * 5:
                for label in rng.permutation(CLASSES - 1)[:2].tolist():
                    ratings.append((int(start), label, bool(rng.random() < 0.4)))
                    if split == "validate":
                        rows.setdefault(f"{video}:{start}", {})[label] = ratings[-1][2]
            about = {
                "ratings": None if split == "test" else ratings,
                "labels": None if split == "test" else [1],
            }
            frames = {"rgb": np.zeros((102, 2), np.uint8)}
            records.append(serialize_frames(frames=frames, video_id=video, **about))
        write_shard(folder / f"{split}.tfrecord", records)
    (folder / "dataset.toml").write_text(f"num_classes = {CLASSES}\n")
    given, labels = np.zeros((2, len(rows), CLASSES), bool)
    for row, of_row in enumerate(rows.values()):
        for label, present in of_row.items():
            given[row, label], labels[row, label] = True, present
    return folder, list(rows), labels, given


def blocks(ids, scores, size=7):
    return ((ids[at : at + size], scores[at : at + size]) for at in range(0, len(ids), size))


def test_the_best_segments_of_each_class_are_written(tmp_path, monkeypatch):
    rng = np.random.default_rng(1)
    for held, k, segments, levels in (
        (1, 3, 200, 20),
        (50, 20, 200, 999),
        (50, 1, 90, 9),
        (10**6, 100_000, 100, 20),
    ):
        monkeypatch.setattr(segment_submission, "_HELD_SCORES", held)
        scores = rng.integers(levels, size=(segments, 4)) / levels
        ids = [f"v{row // 5}:{row % 5 * 5}" for row in range(segments)]
        for name, classes in (("s.csv", None), ("s.csv.gz", [3, 1])):
            assert write(blocks(ids, scores), tmp_path / name, k=k, classes=classes) == segments
            content = (tmp_path / name).read_bytes()
            lines = (gzip.decompress(content) if name.endswith(".gz") else content).decode().splitlines()
            assert lines[0] == HEADER == "Class,Segments"
            expected = []
            for label in sorted(classes or range(4)):
                best = sorted(range(segments), key=lambda row: -scores[row, label])[:k]
                expected.append(f"{label},{' '.join(ids[row] for row in best)}")
            assert lines[1:] == expected
    assert {each.name for each in tmp_path.iterdir()} == {"s.csv", "s.csv.gz"}


def test_memory_is_that_of_the_segments_not_of_their_scores(tmp_path, monkeypatch):
    monkeypatch.setattr(segment_submission, "_HELD_SCORES", 10_000)
    rng, peaks = np.random.default_rng(2), []
    for segments in (2_000, 20_000):
        made = (
            ([f"v{at + n}:0" for n in range(100)], rng.random((100, 50))) for at in range(0, segments, 100)
        )
        tracemalloc.start()
        write(made, tmp_path / "s.csv", k=100)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # 18,000 more videos of one segment each, whose names are kept once; their scores would be 7.2 MB.
    assert peaks[1] - peaks[0] < 18_000 * 200


@pytest.mark.parametrize(
    ("ids", "scores", "message"),
    [
        (["a:0", "a:0"], [[1.0], [2.0]], "'a:0' comes twice"),
        (["a:0", "a b:0"], [[1.0], [2.0]], "'a b:0' cannot be part"),
        (["a:0", "a,b:0"], [[1.0], [2.0]], "'a,b:0' cannot be part"),
        (["a:0", "a"], [[1.0], [2.0]], "'a' cannot be part"),
        (["a:0", "a:-5"], [[1.0], [2.0]], "'a:-5' cannot be part"),
        (["a:0", "b:0"], [[1.0], [np.nan]], "not finite"),
        ([], [], "no segments"),
    ],
)
def test_what_cannot_be_written_leaves_nothing(ids, scores, message, tmp_path):
    with pytest.raises(DataError, match=message):
        write(blocks(ids, np.array(scores), size=1), tmp_path / "s.csv")
    assert not [*tmp_path.iterdir()]


def test_it_measures_as_the_scores_it_was_written_from(rated, tmp_path, command):
    folder, ids, labels, given = rated
    scores = (np.random.default_rng(3).integers(30, size=labels.shape) / 32 + labels / 4).astype(np.float32)
    # Segments that nobody rated, between the others, change nothing.
    others = [
        each.replace(":5", ":95")
        for each in ids
        if each.endswith(":5") and each.replace(":5", ":95") not in ids
    ]
    all_ids, all_scores = [*others, *ids], np.concatenate([np.full((len(others), CLASSES), 0.5), scores])
    write(blocks(all_ids, all_scores), tmp_path / "s.csv")
    found = evaluate(tmp_path / "s.csv", data=folder)
    pairs = rated_pairs(scores, labels, given, ids=ids)
    assert found["map_at_k"] == mean_average_precision_at_k(scores, labels, given) > 0.5
    assert found["map_at_k_interval"] == pytest.approx(map_at_k_interval(pairs))
    counts = {
        "k": 100_000,
        "classes": 5,
        "num_classes": 6,
        "segments": len(ids),
        "rated": given.sum(),
        "videos": 40,
    }
    assert others and found | counts | {"notes": []} == found
    check_file = ("submission", "check", tmp_path / "s.csv", "--unit", "segment", "--data", folder, "--split")
    code, out, _ = command(*check_file, "validate")
    assert (code, out) == (0, f"{tmp_path / 's.csv'} is whole: segments of the 40 videos of 'validate'.\n")
    code, out, _ = command(
        "evaluate", "--submission", tmp_path / "s.csv", "--unit", "segment", "--data", folder
    )
    assert code == 0 and f"mAP@K   {found['map_at_k']:.4f}  (95 % interval over videos" in out
    # What the list of a class lacks: a rated segment has no rank; a class has none at all.
    lines = (tmp_path / "s.csv").read_text().splitlines()
    ends = lines[1].rsplit(" ", 30)
    (tmp_path / "s.csv").write_text("\n".join([lines[0], ends[0], *lines[2:3], *lines[4:]]) + "\n")
    listed = np.ones(scores.shape, bool)
    listed[[ids.index(each) for each in ends[1:] if each in ids], 0] = False
    listed[:, 2] = False
    shown = evaluate(tmp_path / "s.csv", data=folder)
    expected = pairs._replace(scores=np.where(listed[np.nonzero(given)], pairs.scores, -np.inf))
    assert shown["map_at_k"] == map_at_k_of_pairs(expected)
    assert (
        "no line for 1 class that segments show, whose average precision counts as 0: 2." in shown["notes"][0]
    )


SECONDS = {"aa": 12, "bb": 300, "c:c": 10}
WHOLE = [HEADER, "0,aa:0 aa:10 c:c:5", "3,bb:295 aa:5", "2,aa:7"]
FAULTS = {  # the third line → kind and clear
    "3,aa:0 zz:5 aa:0": [("duplicate segment", False), ("segment", False)],
    "3,aa:15 aa:3 aa aa:05 aa:-5": [("segment", False)] * 5,
    "0,aa:0": [("duplicate class", False)],
    "10,aa:0": [("class", False)],
    "x,aa:0": [("class", False)],
    "3": [("class", False)],
    "3,aa:0\r": [("format", True)],
    "3,aa:0  aa:5": [("format", True)],
    "3,": [("format", True)],
    '"3","aa:0"': [("format", True)],
    "3,aa:0 zz,a:0": [("segment", False)],
    "": [("format", True)],
    "3," + "aa:0 " * 100_000 + "aa:0": [("format", False), ("duplicate segment", False)],
}


def test_a_wrong_line_is_reported_with_its_number(tmp_path):
    def faults_of(lines):
        (tmp_path / "s.csv").write_bytes("\n".join(lines).encode() + b"\n")
        found = match_lines(tmp_path / "s.csv", seconds=SECONDS, rated={"aa:7"}, num_classes=10)
        faults = [fault for line in found for fault in line.faults]
        assert all(fault.what.isprintable() and len(fault.what) < 300 for fault in faults)
        return [(fault.line, fault.kind, fault.clear) for fault in faults]

    assert faults_of(WHOLE) == []
    for line, faults in FAULTS.items():
        assert faults_of([*WHOLE[:2], line, *WHOLE[3:]]) == [(3, *each) for each in faults], line[:40]
    assert faults_of(["class , Segments", *WHOLE[1:]]) == [(1, "header", True)]
    assert faults_of(["VideoId,LabelConfidencePairs", *WHOLE[1:]]) == [(1, "header", False)]


def test_what_is_clear_is_measured_and_what_is_not_refused(rated, tmp_path, command):
    folder, ids, *_ = rated
    file, one = tmp_path / "s.csv", next(each for each in ids if each.startswith("v"))
    file.write_bytes(f"{HEADER}\r\n1,{one}\r\n".encode())
    assert "CR and LF" in evaluate(file, data=folder)["notes"][1]
    assert len([*check(file, data=folder, split="validate")[1]]) == 2
    file.write_text(f"{HEADER}\n1,{one} zz:0\n2,zz:5\n")
    with pytest.raises(
        DataError,
        match=r"s\.csv, line 2: segment: 'zz:0' is not VIDEO:START of a video of this split \(1 more",
    ):
        evaluate(file, data=folder)
    code, out, _ = command(
        "submission", "check", file, "--unit", "segment", "--data", folder
    )  # test: no ratings
    assert code == 3 and out.startswith(
        "line 2: segment: 'zz:0' is not VIDEO:START of a video of this split\nline 3: segment: 'zz:5'"
    )
    code, _, err = command(
        "evaluate", "--submission", file, "--unit", "segment", "--data", folder, "--split", "test"
    )
    assert code == 3 and "is rated" in err
