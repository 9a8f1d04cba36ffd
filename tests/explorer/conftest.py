"""Evidence of any size; a headless browser; a real JupyterLab for it to look at."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import wave
from collections import namedtuple
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import urlopen

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Nothing but this machine can be reached.
OPTIONS = ["--no-sandbox", "--disable-gpu", "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"]
TIMEOUT = 240  # on two busy cores JupyterLab's first page alone can take a minute


@dataclass
class Browser:
    """A headless Chromium, and every address a page requested that is not this machine's."""

    chromium: object
    outside: list[str] = field(default_factory=list)

    @contextmanager
    def page(self, *, width: int, picture: Path, height: int = 900):
        page = self.chromium.new_page(viewport={"width": width, "height": height})
        page.set_default_timeout(TIMEOUT * 1000)
        page.on("request", lambda request: self.check(request.url))
        page.on("websocket", lambda socket: self.check(socket.url))
        try:
            yield page
        finally:
            page.screenshot(path=picture)
            page.close()

    def check(self, address: str) -> None:
        parsed = urlparse(address)
        if parsed.scheme not in ("data", "blob", "about", "file") and parsed.hostname != "127.0.0.1":
            self.outside.append(address)


# Not for the session: while playwright runs, asyncio uses its loop for everyone, and notebooks executed by other
# tests would fail.
@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    executable = next(filter(None, map(shutil.which, BROWSERS)), None)
    if executable is None:
        pytest.skip(f"no Chromium on the PATH ({', '.join(BROWSERS)})")
    with playwright.sync_playwright() as driver:
        arguments = {"executable_path": executable, "args": OPTIONS}
        chromium = driver.chromium.launch(**arguments, timeout=TIMEOUT * 1000)
        yield Browser(chromium)
        chromium.close()


Lab = namedtuple("Lab", "url token folder")


@pytest.fixture(scope="module")
def lab(browser, tmp_path_factory):
    """JupyterLab in folders of its own, on a port the system chose, with kernels that import this package."""
    home = tmp_path_factory.mktemp("lab")
    # News would be fetched from outside; cells out of sight are rendered too.
    news, tracker = "@jupyterlab/apputils-extension:announcements", "@jupyterlab/notebook-extension/tracker"
    files = {"config/labconfig/page_config.json": {"disabledExtensions": {news: True}}}
    files |= {f"settings/{tracker}.jupyterlab-settings": {"windowingMode": "none"}}
    for name, content in files.items():
        (home / name).parent.mkdir(parents=True)
        (home / name).write_text(json.dumps(content))
    folders = {"HOME": "", "IPYTHONDIR": "ipython", "JUPYTERLAB_SETTINGS_DIR": "settings"}
    folders |= {f"JUPYTER_{name.upper()}_DIR": name for name in ("config", "data", "runtime")}
    folders |= {"JUPYTERLAB_WORKSPACES_DIR": "workspaces"}
    environment = os.environ | {name: str(home / folder) for name, folder in folders.items()}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ServerApp.port=0"]
    command += [
        "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.root_dir={home}",
        "--LabApp.extension_manager=readonly",
    ]
    with (home / "log").open("wb") as log:
        streams = {"stdout": log, "stderr": log}
        server = subprocess.Popen(command, cwd=home, env=environment, start_new_session=True, **streams)
    try:
        yield _wait_for(server, home)
    finally:
        server.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            server.wait(timeout=60)
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def _wait_for(server: subprocess.Popen, home: Path) -> Lab:
    until = time.monotonic() + TIMEOUT
    while time.monotonic() < until and server.poll() is None:
        for file in (home / "runtime").glob("jpserver-*.json"):
            with suppress(ValueError, OSError):
                record = json.loads(file.read_text())
                lab = Lab(f"http://127.0.0.1:{record['port']}/", record["token"], home)
                urlopen(f"{lab.url}api/status?token={lab.token}", timeout=10).close()
                return lab
        time.sleep(0.2)
    pytest.fail(f"JupyterLab did not answer:\n{(home / 'log').read_text()}")


@pytest.fixture(scope="session")
def dataset(generated):
    from dmlkit.data import open_dataset

    return open_dataset(generated)


@pytest.fixture(scope="session")
def sample_evidence():
    return _sample_evidence


def _sample_evidence(*, frames=12, classes=3, seed=0, kind="attention", linear=True, **changes):
    """Evidence of a kind of weights; vectors of weights and logits stand for one group."""
    from dmlkit.explorer.evidence import Evidence

    rng, index = np.random.default_rng(seed), np.arange(frames)
    groups = [f"head {number}" for number in (1, 2, 3)] if kind == "heads" else [""]
    own = classes if kind in ("by_class", "by_feature") else 1
    logits = rng.normal(size=(frames, len(groups), own)) * (kind != "mean")
    weights = np.exp(logits) / np.maximum(np.exp(logits).sum(axis=0), 1e-9)
    contributions = rng.normal(size=(frames, len(groups), classes))
    biases, made = rng.normal(size=classes) - 2, (index >= frames // 3) & (index < frames // 2)
    settings = {"video": f"video{seed:04d}", "run": "Attention", "times": index, "kind": kind}
    settings |= {"groups": groups, "weights": weights, "logits": logits, "true": (0, 1)[:classes]}
    settings |= {"classes": tuple(range(classes)), "names": [f"class {label}" for label in range(classes)]}
    settings |= {"ground_truth": {0: made} if classes else {}}
    settings |= {"energy": {name: rng.uniform(1, 3, frames) for name in ("rgb", "audio")}}
    settings |= {"change": {name: rng.uniform(0, 1, frames) for name in ("rgb", "audio")}}
    if kind == "by_class":
        contributions, biases = 1 / (1 + np.exp(-contributions)), np.zeros(classes)
    outputs = (weights * contributions).sum(axis=(0, 1)) + biases
    scores = outputs if kind == "by_class" else 1 / (1 + np.exp(-outputs))
    settings |= {"scores": scores, "link": "identity" if kind == "by_class" else "sigmoid"}
    if linear and kind not in ("by_feature", "clusters", "none"):
        settings |= {"contributions": contributions, "biases": biases}
        settings |= {"parts": [(at, None) for at in range(len(groups))]}
    else:
        terms = np.repeat(weights * contributions, 2, axis=1) * [[0.25], [0.75]]
        settings |= {"terms": terms, "term_modalities": ("rgb", "audio"), "gap": np.zeros(classes)}
        settings |= {"term_classes": range(classes), "terms_title": "gradient × input (approximation)"}
        settings |= {"reweightable": kind in ("attention", "heads"), "maskable": kind != "none"}
    if kind in ("clusters", "none"):
        settings |= {"weights": None, "logits": None, "title": f"The pooling '{kind}' weighs no frames"}
    if kind == "clusters":
        settings |= {"assignment": rng.dirichlet(np.ones(5), size=frames)}
    if kind == "none":  # as of a Transformer
        settings |= {"rollout": rng.dirichlet(np.ones(max(1, frames)))[:frames]}
    for name in {"weights", "logits"} & set(changes):
        if np.ndim(changes[name]) == 1:
            changes[name] = np.asarray(changes[name])[:, None, None]
    return Evidence(**settings | changes)


@pytest.fixture(scope="session")
def leave_media():
    return _leave_media


def color_of(frame: int) -> tuple[int, int, int]:
    return (20 * frame % 256, 255 - 10 * frame % 256, 120)


def _leave_media(folder: Path, video: str, *, frames: int) -> None:
    """Pictures of one colour a frame, as files and as a sprite of 5 columns, and a sound as long as the frames."""
    sprite = Image.new("RGB", (64 * 5, 36 * -(-frames // 5)))
    for name in ("frames", "thumbnails", "videos"):
        (folder / name / ("" if name != "frames" else video)).mkdir(parents=True, exist_ok=True)
    for frame in range(frames):
        picture = Image.new("RGB", (64, 36), color_of(frame))
        picture.save(folder / "frames" / video / f"{frame + 1}.jpg", quality=95)
        sprite.paste(picture, (frame % 5 * 64, frame // 5 * 36))
    sprite.save(folder / "thumbnails" / f"{video}.webp", lossless=True)
    with wave.open(str(folder / "videos" / f"{video}.wav"), "wb") as sound:
        sound.setparams((1, 1, 4000, 0, "NONE", ""))
        sound.writeframes(bytes(128 + 40 * (t // 5 % 2) for t in range(4000 * frames)))
