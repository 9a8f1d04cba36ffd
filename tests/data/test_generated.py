"""The generated data set, made where it is missing: once, and nowhere else."""

import os
import subprocess
import sys
import time

import pytest

import dmlkit

OPEN = """
import sys, time, dmlkit
while time.time() < float(sys.argv[1]):
    time.sleep(0.01)
print(dmlkit.open_or_generate().path)
"""


def test_two_that_start_together_make_it_once(tmp_path):
    environment = os.environ | {"DMLKIT_HOME": str(tmp_path)}
    together = str(time.time() + 3)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", OPEN, together],
            env=environment,
            cwd=folder,
            stdout=subprocess.PIPE,
            text=True,
        )
        for folder in ("/", tmp_path)
    ]
    said = [process.communicate(timeout=120)[0].splitlines() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    folder = tmp_path / "data" / "generated"
    assert {lines[-1] for lines in said} == {str(folder)}
    lines = [line for lines in said for line in lines]
    assert sum(line.startswith("Generating") for line in lines) == 1
    assert {path.name for path in folder.parent.iterdir()} == {"generated", ".generated.lock"}


def test_a_folder_of_another_name_is_not_made(tmp_path):
    with pytest.raises(dmlkit.DataError):
        dmlkit.open_or_generate(tmp_path / "generatd")
    assert not list(tmp_path.iterdir())


def test_where_nothing_may_be_written_it_says_so(tmp_path):
    (tmp_path / "data").write_text("a file")
    with pytest.raises(dmlkit.UsageError, match="cannot be generated"):
        dmlkit.open_or_generate(tmp_path / "data" / "generated")
