"""The command line: thin, and the heavy libraries are imported by the command that needs them.

main      all commands, and what their errors and exit codes are
report    `dmlkit report`
runs      train, measure, predict, combine, compare and list runs
data      look at, check, generate, download and import data sets; submissions
options   what several commands share
"""

from dmlkit.cli.main import main

__all__ = ["main"]
