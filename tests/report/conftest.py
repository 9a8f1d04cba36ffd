"""Small notebooks to make reports of."""

import json
import shutil
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}
PARAMETERS = """\
data: str = "../data/generated"  # folder of the data set
profile: str = "demo"  # smoke, demo, study or paper
runs: str = "../runs"  # folder of the runs
seed: int = 0  # of weights and order
deterministic: bool = False  # same numbers for the same seed
"""
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
]


# Not for the session: while playwright runs, asyncio takes its loop for everyone's.
@pytest.fixture(scope="module")
def chromium():
    """A headless Chromium; skipped where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    executable = next(filter(None, map(shutil.which, BROWSERS)), None)
    if executable is None:
        pytest.skip(
            f"no Chromium on the PATH ({', '.join(BROWSERS)}): on Debian, install the package chromium"
        )
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=executable, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def write_notebook(tmp_path):
    """Write `tmp_path/notebooks/NAME.ipynb` out of sources; text that starts with `#` and a blank is Markdown."""

    def write(
        name: str,
        *sources: str,
        parameters: str | None = PARAMETERS,
        title: str | None = None,
        needs=(),
        after=(),
        trains=(),
    ) -> Path:
        cells = [new_markdown_cell(f"# The {name} chapter\n\nDoes it **run**?", id="ask")]
        if parameters is not None:
            cells.append(new_code_cell(parameters, metadata={"tags": ["parameters"]}, id="parameters"))
        for place, source in enumerate(sources):
            make = new_markdown_cell if source.startswith(("# ", "## ")) else new_code_cell
            cells.append(make(source, id=f"cell-{place}"))
        about = {"needs": list(needs), "after": list(after), "trains": list(trains)} | (
            {"title": title} if title else {}
        )
        path = tmp_path / "notebooks" / f"{name}.ipynb"
        path.parent.mkdir(exist_ok=True)
        nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": KERNEL, "dmlkit": about}), path)
        return path

    return write


@pytest.fixture
def build(tmp_path, generated):
    """Make a report of `tmp_path/notebooks` in `tmp_path/out`; gives it, and the lines it said."""
    from dmlkit.report import build_report

    def go(**more):
        said = []
        named = {
            "data": generated,
            "profile": "smoke",
            "out": tmp_path / "out",
            "folder": tmp_path / "notebooks",
        }
        report = build_report(**(named | more), echo=said.append)
        return report, said

    return go


@pytest.fixture
def results(tmp_path):
    """What `tmp_path/out/results.json` holds."""
    return lambda: json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))
