"""A report killed at random moments, and in a real browser with the network off."""

import json
import os
import random
import subprocess
import sys
import time
import uuid
from contextlib import suppress
from pathlib import Path

import nbformat
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

COMMAND = """\
import sys
from dmlkit.report import build_report
data, out, folder = sys.argv[1:]
sys.exit(build_report(data=data, profile="smoke", out=out, folder=folder, deterministic=True).exit_code)
"""
TRAINS = """\
import dmlkit
study = dmlkit.Study(data, profile=profile, runs=runs, seed=seed, deterministic=deterministic)
"""
SEED = 20261122
# What is seen in the report's folder → the most seconds from then until it is killed.
MOMENTS = {
    ".lock": 8,
    "runs/lr-*": 3,
    "notebooks/01-lr.ipynb": 2,
    "runs/lstm-*": 5,
    "runs/lstm-*/checkpoint.npz": 3,
}


def bearing(mark):
    """The processes that bear a mark in their environment."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            found += [path] * (f"DMLKIT_TEST_MARK={mark}".encode() in path.read_bytes())
    return found


def wait_until(true, seconds):
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.mark.skipif(not Path("/proc").exists(), reason="processes are looked up in /proc")
def test_killed_at_any_moment_it_ends_with_the_same_metrics(write_notebook, generated, tmp_path):
    write_notebook("01-lr", f"{TRAINS}study.train('lr')")
    write_notebook("02-lstm", f"{TRAINS}study.train('lstm')", "study.find('lr').gap", after=["01-lr"])
    chance, mark = random.Random(SEED), uuid.uuid4().hex

    def start(out):
        command = [sys.executable, "-c", COMMAND, *map(str, (generated, out, tmp_path / "notebooks"))]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        marked = os.environ | {"DMLKIT_TEST_MARK": mark}
        return subprocess.Popen(command, env=marked, start_new_session=True, **pipes)

    def metrics(out):
        rows = json.loads((out / "results.json").read_text())["ladder"]
        return [{name: value for name, value in row.items() if name != "seconds_an_epoch"} for row in rows]

    one, other = tmp_path / "undisturbed", tmp_path / "killed"
    undisturbed = start(one)
    printed, _ = undisturbed.communicate()
    assert undisturbed.returncode == 0, printed
    killed = 0
    for sight, longest in MOMENTS.items():
        process, moment = start(other), chance.uniform(0, longest)
        wait_until(lambda: process.poll() is not None or any(other.glob(sight)), 120)  # noqa: B023
        with suppress(subprocess.TimeoutExpired):
            process.wait(moment)
        killed += process.poll() is None
        process.kill()
        process.communicate()
        wait_until(lambda: not bearing(mark), 10)
        for path in [*other.glob("*.json"), *other.glob("runs/*/run.json")]:
            json.loads(path.read_text())
        for path in other.glob("notebooks/[0-9]*.ipynb"):
            nbformat.validate(nbformat.read(path, as_version=4))
    assert killed >= 3
    last = start(other)
    printed, _ = last.communicate()
    assert last.returncode == 0, printed
    assert metrics(one) == metrics(other)
    assert [row["status"] for row in metrics(other)[:2]] == ["trained", "trained"]
    assert not bearing(mark) and not [path for path in other.rglob(".*") if path.name[1:2].isdigit()]


def test_pages_in_a_browser_ask_for_nothing_and_read_well(write_notebook, build, tmp_path, read_in_browser):
    shows = "import pandas as pd; display(pd.DataFrame({f'column {n}': range(30) for n in range(16)}))"
    draws = "import matplotlib.pyplot as plt; _ = plt.plot([1, 2])"
    prose = f"# A $x^2$ and [the next](02-second.ipynb)\n\n$$y = {' + '.join(['x'] * 90)}$$"
    write_notebook("01-first", shows, draws, prose, "print('word ' * 400)")
    write_notebook("02-second", "1 / 0  # on purpose")
    assert build()[0].exit_code == 4
    for page in read_in_browser(sorted((tmp_path / "out").glob("*.html"))):
        page.get_by_role("link", name="the next", exact=True).click()
        page.wait_for_url("**/02-second.html")


TABLE = """\
import numpy as np, pandas as pd
from dmlkit import plots
names, videos = ["b10", "<i>a", "B9", "x" * 70 + "y"], [1000, 9, 20, 3]
frame = pd.DataFrame({"name": names, "videos": videos, "score": [0.5, np.nan, 0.25, 1e-3]})
plots.numbers(frame.rename_axis("class"), title="Classes", searchable=True)
"""


def test_a_searchable_table_sorts_by_keyboard_and_finds(write_notebook, build, tmp_path, read_in_browser):
    write_notebook("01-table", TABLE)
    assert build()[0].exit_code == 0

    def classes(page):
        return "".join(page.locator("tbody tr:visible th").all_inner_texts())

    for page in read_in_browser([tmp_path / "out" / "01-table.html"]):
        assert classes(page) == "0123" and page.get_by_text("4 of 4 rows").is_visible()
        orders = {"videos": "3120 0213", "score": "3201 0231", "name": "1203 3021", "class": "0123 3210"}
        for heading, order in orders.items():
            for sort in ("ascending", "descending"):
                page.get_by_role("button", name=heading).press("Enter")
                by = page.locator("th[aria-sort]")
                assert (by.inner_text(), by.get_attribute("aria-sort")) == (heading, sort)
                assert classes(page) == order.split()[sort == "descending"]
        for text, found in (("B", "20"), ("xxy", "3"), ("b 1,000", "0"), ("<i>", "1"), ("none", "")):
            page.get_by_label("Search").fill(text)
            assert classes(page) == found and page.get_by_text(f"{len(found)} of 4 rows").is_visible()
        still = page.context.browser.new_context(java_script_enabled=False).new_page()
        still.goto(page.url)
        assert classes(still) == "0123" and still.get_by_role("button").count() == 0
