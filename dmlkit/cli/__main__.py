"""`python -m dmlkit.cli`."""

from dmlkit.cli import main

main()
