import sys

import pytest

from dmlkit.cli import main


@pytest.fixture
def dmlkit(capsys, monkeypatch):
    """The command line in this process: its exit code, and what it printed."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["dmlkit", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        printed = capsys.readouterr()
        return end.value.code or 0, printed.out, printed.err

    return run
