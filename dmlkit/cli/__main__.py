"""`python -m dmlkit.cli`."""

from dmlkit.cli.main import main

main()
