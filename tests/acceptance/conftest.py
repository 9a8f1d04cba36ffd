"""What acceptance tests share: one small generated data set and two runs trained on it."""

import sys
from pathlib import Path

import pytest

import dmlkit


@pytest.fixture(scope="session")
def generated(tmp_path_factory) -> Path:
    """A generated frame-level data set: 200 videos to train, 100 to validate, 20 without labels. Read only."""
    return dmlkit.synthesize(tmp_path_factory.mktemp("data") / "generated", train=200, validate=100, test=20)


@pytest.fixture(scope="session")
def trained(generated, tmp_path_factory) -> dict:
    """Name → run: `lr` and `attention`, trained on `generated` under the smoke profile. Read only."""
    runs = tmp_path_factory.mktemp("runs")
    return {
        name: dmlkit.train(name, data=generated, out=runs / name, profile="smoke", progress="silent")
        for name in ("lr", "attention")
    }


@pytest.fixture
def command(capsys, monkeypatch):
    """The command line in this process: its exit code, and what it printed to stdout and to stderr."""
    from dmlkit.cli import main

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["dmlkit", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        printed = capsys.readouterr()
        return end.value.code or 0, printed.out, printed.err

    return run
