"""A disk that is full when the executed notebook is to be written."""

import os
import subprocess
import sys

import pytest

from dmlkit.report.kernels.execution import execute

TALKS = "print('x' * 400_000)"
LIMITED = """
import resource, sys
from pathlib import Path
from dmlkit.report.kernels.execution import execute
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
failure = execute(Path(sys.argv[1]), Path(sys.argv[2]), {})
print(failure.kind, failure.message, sep="\\n")
"""


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a disk of its own, of 200 KB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(folder)]
    try:
        made = subprocess.run(mount, capture_output=True).returncode == 0
    except OSError:
        made = False
    if not made:
        pytest.skip("no disk may be mounted here; the test with a limit of file sizes stands in")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def check(kind, message, target):
    assert kind == "disk"
    assert str(target) in message
    assert target.read_text() == "of an earlier report", "what was there before stays"
    assert [path.name for path in target.parent.iterdir()] == [target.name], "no half file is left"


def test_a_full_disk_is_told_and_the_earlier_notebook_stays(small_disk, write_notebook):
    target = small_disk / "01-talks.ipynb"
    target.write_text("of an earlier report")
    failure = execute(write_notebook("01-talks", TALKS, "int('ten')"), target, {})
    check(failure.kind, failure.message, target)
    assert "No space left on device" in failure.message
    assert "Before that, the notebook had stopped: ValueError" in failure.message


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="limits of file sizes")
def test_a_file_that_may_not_grow_is_told_alike(write_notebook, tmp_path):
    target = tmp_path / "out" / "01-talks.ipynb"
    target.parent.mkdir()
    target.write_text("of an earlier report")
    told = subprocess.run(
        [sys.executable, "-c", LIMITED, str(write_notebook("01-talks", TALKS)), str(target)],
        capture_output=True,
        text=True,
        check=True,
    )
    kind, message = told.stdout.splitlines()
    check(kind, message, target)
    assert "File too large" in message
