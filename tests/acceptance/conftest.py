"""What acceptance tests share: two trained runs, and the command line in this process."""

import sys

import pytest


@pytest.fixture
def trained(smoke_runs) -> dict:
    """Name → run: `lr` and `attention`, trained on `generated` under the smoke profile. Read only."""
    return smoke_runs


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
