"""GAP@20 of a file, against the measure of the scores it was written from."""

import numpy as np
import pytest

from dmlkit.data import open_dataset
from dmlkit.errors import DataError, UsageError
from dmlkit.metrics import gap_interval, global_average_precision, top_k_pairs
from dmlkit.submission import HEADER, evaluate, submission_lines


@pytest.fixture(scope="module")
def truth(generated):
    """Ids and labels of the validation part, read as a model would."""
    batches = list(open_dataset(generated).batches("validate", batch_size=64))
    return [video for batch in batches for video in batch["id"].tolist()], np.concatenate(
        [batch["labels"] for batch in batches]
    )


def write(file, ids, scores, *, order=None, top_k=20):
    lines = submission_lines(ids, top_k_pairs(scores, top_k)).decode().splitlines(keepends=True)
    file.write_text(f"{HEADER}\n" + "".join(lines if order is None else [lines[place] for place in order]))
    return file


@pytest.mark.parametrize("levels", [2, 1000])
def test_it_is_the_scores_own(generated, truth, tmp_path, levels):
    ids, labels = truth
    rng = np.random.default_rng(levels)
    scores = (np.round(rng.random(labels.shape) * levels) / levels * 0.7 + labels * 0.3).astype(np.float16)
    expected = global_average_precision(scores.astype(np.float32), labels)
    for order in (None, rng.permutation(len(ids))):
        found = evaluate(write(tmp_path / "s.csv", ids, scores, order=order), data=generated)
        assert found["gap"] == expected
        assert found["gap_interval"] == list(gap_interval(scores.astype(np.float32), labels))
        assert (found["videos"], found["num_classes"]) == (100, 24)


def test_fewer_pairs_are_measured_as_so_many(generated, truth, tmp_path):
    ids, labels = truth
    scores = np.random.default_rng(0).random(labels.shape).astype(np.float16)
    found = evaluate(write(tmp_path / "s.csv", ids, scores, top_k=3), data=generated)
    assert found["gap"] == global_average_precision(scores.astype(np.float32), labels, top_k=3)


def test_a_faulty_file_is_not_measured(generated, truth, tmp_path):
    ids, labels = truth
    file = write(tmp_path / "s.csv", ids[1:], np.zeros(labels[1:].shape, np.float16))
    with pytest.raises(
        DataError, match=rf"s\.csv: missing id: {ids[0]} has no line\. `dmlkit submission check`"
    ):
        evaluate(file, data=generated)
    file.write_text(file.read_text().replace(f"\n{ids[4]},", f"\n{ids[3]},"))
    with pytest.raises(DataError, match=r"s\.csv, line 5: duplicate id: .* line 4 already \(2 more faults\)"):
        evaluate(file, data=generated)


def test_what_cannot_be_measured(generated, tmp_path):
    for split, error in (("test", DataError), ("vlaidate", UsageError)):
        with pytest.raises(error, match=r"label|no split"):
            evaluate(tmp_path / "s.csv", data=generated, split=split)
