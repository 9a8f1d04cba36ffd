"""Small notebooks to make reports of."""

import json
import re
from pathlib import Path

import nbformat
import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from dmlkit.experiments import find

PARAMETERS = """\
data: str | None = None  # folder of the data set
profile: str = "demo"  # the conditions
runs: str | None = None  # folder of the runs
seed: int = 0  # of weights and order
deterministic: bool = False  # the same numbers for the same seed
"""


@pytest.fixture
def write_notebook(tmp_path):
    """Write `tmp_path/notebooks/NAME.ipynb` out of code; text that starts with `# ` is Markdown."""

    def write(name: str, *sources: str, parameters: str = "", **about) -> Path:
        cells = [new_markdown_cell(f"# The {name} chapter\n\nA lead. Does it **run**?", id="ask")]
        source = PARAMETERS + parameters
        cells.append(new_code_cell(source, metadata={"tags": ["parameters"]}, id="parameters"))
        for place, source in enumerate(sources):
            make = new_markdown_cell if source.startswith("# ") else new_code_cell
            cells.append(make(source, id=f"cell-{place}"))
        path = tmp_path / "notebooks" / f"{name}.ipynb"
        path.parent.mkdir(exist_ok=True)
        nbformat.write(new_notebook(cells=cells, metadata={"dmlkit": about}), path)
        return path

    return write


@pytest.fixture
def build(tmp_path, generated):
    """Make a report of `tmp_path/notebooks` in `tmp_path/out`: it, and the lines of progress."""

    def go(**more):
        from dmlkit.report import build_report

        lines = []
        named = {"data": generated, "profile": "smoke", "out": tmp_path / "out"}
        report = build_report(**named | {"folder": tmp_path / "notebooks"} | more, echo=lines.append)
        return report, lines

    return go


def statuses(report) -> list[str]:
    """What became of each chapter."""
    return [chapter.status for chapter in report.chapters]


def outside_references(html: str) -> list[str]:
    """Everything that a page fetches from elsewhere; links to click do not count."""
    found = []
    for element in BeautifulSoup(html, "html.parser").find_all(True):
        if element.name not in ("a", "area"):
            names = ("src", "srcset", "poster", "href", "xlink:href", "data")
            found += [element[name] for name in names if element.has_attr(name)]
        style = str(element.get("style", "")) + element.get_text() * (element.name == "style")
        found += re.findall(r"""@import|url\(\s*['"]?(?!data:|#)""", style)
        if element.name == "script" and element.get("type") != "application/json":
            found += re.findall(r"\w+://\S*", element.get_text())
    return [address for address in found if not address.startswith(("data:", "#"))]


def leave_lr(study, leave_run, **changes):
    """The run of `lr` that a study finds, trained by nobody."""
    fingerprint = study._fingerprint(find("lr"), study.seed)
    run = leave_run(study.runs / f"lr-{fingerprint[:8]}", name="lr")
    record = run.record | {"fingerprint": fingerprint, **changes}
    (run.path / "run.json").write_text(json.dumps(record))
    return run
