"""`dmlkit submission`."""

from __future__ import annotations

import json
import sys
from collections import Counter

import click

from dmlkit.cli.options import FOLDER, data_option
from dmlkit.errors import DataError


@click.group()
def submission() -> None:
    """Look at files of predictions in YouTube-8M's form."""


@submission.command()
@click.argument("file", type=FOLDER)
@data_option
@click.option("--split", default="test", show_default=True, help="Part of the data set that it is of.")
@click.option("--json", "as_json", is_flag=True, help="For other programs.")
def check(file, data, split, as_json) -> None:
    """Hold FILE against a part of a data set, and show every fault with its line.

    Ends with 0 where there is none, else with 3.
    """
    from dmlkit.submission import check as check_file

    checked = check_file(file, data=data, split=split)
    counts = (_as_json if as_json else _as_text)(file, checked.faults, videos=checked.videos, split=split)
    if counts:
        sys.exit(DataError.exit_code)


def _as_text(file, faults, *, videos: int, split: str) -> Counter:
    counts = Counter()
    for fault in faults:
        counts[fault.kind] += 1
        where = "" if fault.line is None else f"line {fault.line}: "
        click.echo(f"{where}{fault.kind}: {fault.what}")
    if not counts:
        click.echo(f"{file} is whole: a line for each of the {videos:,} videos of '{split}'.")
    else:
        every = sum(counts.values())
        click.echo(f"{every:,} {'faults' if every > 1 else 'fault'} in {file}:")
        for kind, count in counts.most_common():
            click.echo(f"  {count:>9,}  {kind}")
    return counts


def _as_json(file, faults, *, videos: int, split: str) -> Counter:
    """One object, its faults written as they are found: there may be millions."""
    counts = Counter()
    told = {"file": str(file), "split": split, "videos": videos}
    click.echo(json.dumps(told, indent=2)[:-2] + ',\n  "faults": [', nl=False)
    for fault in faults:
        click.echo(("," if counts else "") + "\n    " + json.dumps(fault._asdict()), nl=False)
        counts[fault.kind] += 1
    rest = {"counts": dict(counts.most_common()), "ok": not counts}
    click.echo("],\n" + json.dumps(rest, indent=2)[2:])
    return counts
