"""Files of predictions: their bytes, and that they are whole or not there."""

import gzip

import numpy as np
import pytest

from dmlkit.errors import DataError
from dmlkit.metrics import TopK, top_k_pairs
from dmlkit.submission import file_for, lines_for_people, read_lines, submission_lines

SCORES = np.array([[0.25, 1, 0, 0.25], [0.1, 0.2, 0.3, 6e-8]], np.float16)


def test_lines_by_hand():
    top = top_k_pairs(SCORES, 3)
    assert submission_lines(["Vmm1", "b"], top) == b"Vmm1,1 1.0 0 0.25 3 0.25\nb,2 0.3 1 0.2 0 0.1\n"
    assert submission_lines(["a", "b"], top_k_pairs(SCORES, 20)).count(b" ") == 14
    assert lines_for_people(["Vmm1", "\x1b[31mb,\n"], top, ["Guitar, bass", "Car", "Food", "Dog"]) == (
        b"Vmm1\n  1.0000  1  Car\n  0.2500  0  Guitar, bass\n  0.2500  3  Dog\n"
        b"[31mb,\n  0.3000  2  Food\n  0.2000  1  Car\n  0.1000  0  Guitar, bass\n"
    )


def test_every_half_precision_score_is_read_as_it_was_written(tmp_path):
    every = np.arange(15_361, dtype=np.uint16).view(np.float16)[::-1]
    top = TopK(np.tile(np.arange(20), (769, 1)), np.resize(every, (769, 20)))
    (tmp_path / "s.csv").write_bytes(b"\n" + submission_lines([f"v{i}" for i in range(769)], top))
    read = np.array([line.scores for line in read_lines(tmp_path / "s.csv") if line.video])
    np.testing.assert_array_equal(read.astype(np.float16), top.scores)


@pytest.mark.parametrize("video", ["", "a,b", 'a"b', "a\nb", "a\rb", " a", "a ", "a\x00", "a\u202eb"])
def test_an_id_that_the_form_cannot_hold_is_refused(video):
    with pytest.raises(DataError, match="cannot stand in a submission") as error:
        submission_lines(["fine", video], top_k_pairs(SCORES, 1))
    assert str(error.value).isprintable()


@pytest.mark.parametrize("name", ["s.csv", "s.csv.gz"])
def test_a_file_is_whole_or_not_there(tmp_path, name):
    for content in (b"one\n", b"two\n"):
        with file_for(tmp_path / name) as file:
            file.write(content)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    before = (tmp_path / name).read_bytes()
    assert (gzip.decompress(before) if name.endswith("gz") else before) == b"two\n"
    with pytest.raises(KeyboardInterrupt), file_for(tmp_path / name) as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_bytes() == before


def test_the_same_lines_are_the_same_compressed_bytes(tmp_path):
    for name in ("a.gz", "b.gz"):
        with file_for(tmp_path / name) as file:
            file.write(b"line\n" * 1000)
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.gz").read_bytes()
    assert len((tmp_path / "a.gz").read_bytes()) < 100


def test_standard_output(capfdbinary):
    with file_for("-") as file:
        file.write(b"a line\n")
    assert capfdbinary.readouterr().out == b"a line\n"
