"""What tests share: a small generated data set, real data where there are any, two runs trained in seconds.

All of it is made when first asked for, once a session.
"""

import os
import shutil
import signal
import sys
import threading

# Before anything imports TensorFlow, Keras or matplotlib.
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["MPLBACKEND"] = "Agg"
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
# A shell's background job ignores Ctrl-C, and so would the processes that tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

from pathlib import Path

import numpy as np
import pytest

import dmlkit
from dmlkit.metrics import gap_interval
from dmlkit.predictions import Predictions
from dmlkit.runs import load_run, write_record


@pytest.fixture(scope="session")
def generated(tmp_path_factory) -> Path:
    """A generated data set: 200 videos to train, 100 to validate, 20 without labels. Not to be changed."""
    return dmlkit.synthesize(tmp_path_factory.mktemp("data") / "generated", train=200, validate=100, test=20)


@pytest.fixture(scope="session")
def with_texts(tmp_path_factory) -> Path:
    """The videos of `generated`, with texts. Not to be changed."""
    folder = tmp_path_factory.mktemp("data") / "with-texts"
    return dmlkit.synthesize(folder, train=200, validate=100, test=20, text=True)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets."""
    folder = os.environ.get("DMLKIT_REAL_DATA")
    if not folder:
        pytest.skip("DMLKIT_REAL_DATA does not name a folder of real data sets")
    return Path(folder)


@pytest.fixture
def server():
    """YouTube-8M's layout on loopback."""
    from loopback import Server

    with Server() as served:
        threading.Thread(target=served.serve_forever, args=(0.01,), daemon=True).start()
        yield served
        served.over.set()
        served.shutdown()


@pytest.fixture(scope="session")
def smoke_runs(generated, tmp_path_factory) -> dict:
    """Name → run of `lr` and `attention`, trained on `generated` under the smoke profile. Not to be changed."""
    runs = tmp_path_factory.mktemp("runs")
    return dmlkit.Study(generated, profile="smoke", runs=runs, progress="silent").train("lr", "attention")


@pytest.fixture(scope="session")
def leave_run():
    """A function that leaves the folder of a run nobody trained: made-up scores, measured and recorded as real ones."""

    def leave(
        path, name="lr", *, seed=0, quality=0.5, profile="smoke", units=8, data="made up", videos=80, order=None
    ):  # fmt: skip
        labels = np.random.default_rng(1007).random((videos, 10)) < 0.2
        noise = np.random.default_rng([seed, len(name)]).random(labels.shape)
        scores = ((labels * quality + noise) / 2).astype(np.float16)
        ids = np.array([f"v{number:03}" for number in range(videos)])
        order = np.arange(videos) if order is None else order
        path.mkdir(parents=True)
        predictions = Predictions(ids=ids[order], labels=labels[order], scores=scores[order])
        predictions.save(path / "predictions.npz")
        metrics = predictions.measured().result()
        metrics["gap_interval"] = list(gap_interval(scores, labels, resamples=20))
        record = {
            "kind": "training",
            "fingerprint": f"{name}-{profile}-{units}-{seed}",
            "experiment": {"name": name, "title": name.upper()},
            "profile": {"name": profile, "purpose": "to test", "units": units},
            "seed": seed,
            "data": {
                "name": data,
                "fingerprint": data * 8,
                "generated": True,
                "level": "video",
                "features": {"rgb": {"size": 4, "coding": "float"}},
                "num_classes": 10,
                "class_names": None,
            },
            "parameters": 1234,
            "epochs": 3,
            "seconds": {"training": 1.5},
            "started": "2026-01-01T00:00:00+00:00",
            "tuning": {"gap": metrics["gap"]},
            "metrics": metrics,
        }
        write_record(path, record)
        return load_run(path)

    return leave


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
    import nbformat
    from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

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
        named = {"data": generated, "profile": "smoke", "out": tmp_path / "out", "echo": lines.append}
        return build_report(**named | {"folder": tmp_path / "notebooks"} | more), lines

    return go


@pytest.fixture
def read_in_browser():
    """Opens pages offline in Chromium, wide and light, narrow and dark; then yields the first page in each window.

    They fit their window, ask for nothing, break no policy, and axe finds nothing serious.
    """
    playwright = pytest.importorskip("playwright.sync_api")
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium on the PATH")

    def read(paths):
        with playwright.sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
            for width, scheme in ((1280, "light"), (390, "dark")):
                window = {"viewport": {"width": width, "height": 900}, "color_scheme": scheme}
                context = browser.new_context(**window)
                context.set_offline(True)
                page, asked, printed = context.new_page(), [], []
                page.on("request", lambda request, asked=asked: asked.append(request.url))
                page.on("console", lambda message, printed=printed: printed.append(message.text))
                for path in paths:
                    page.goto(path.as_uri())
                    fits = page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")
                    assert fits, (path.name, width)
                    found = axe.run(page).response["violations"]
                    grave = [each for each in found if each["impact"] in ("serious", "critical")]
                    shown = [(each["id"], each["nodes"][0]["html"][:120]) for each in grave]
                    assert not shown, (path.name, width, shown)
                fetched = {url.split("#")[0] for url in asked if not url.startswith("data:")}
                assert fetched == {path.as_uri() for path in paths}
                assert printed == [], "the policy had to hold something back"
                page.goto(paths[0].as_uri())
                yield page
            browser.close()

    return read
