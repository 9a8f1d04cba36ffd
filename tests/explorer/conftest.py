"""Evidence of any size; a headless browser; a real JupyterLab for it to look at."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import urlopen

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
]
OPTIONS += ["--disable-component-update", "--disable-sync"]
TIMEOUT = 240  # on two busy cores JupyterLab's first page alone can take a minute


@dataclass
class Browser:
    """A headless Chromium: pages, and every address one of them requested that is not this machine's."""

    chromium: object
    outside: list[str] = field(default_factory=list)

    @contextmanager
    def page(self, *, width: int, picture: Path, height: int = 900):
        """A page; a screenshot of its end is kept as `picture`."""
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
        rules = "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"
        arguments = {"executable_path": executable, "args": [*OPTIONS, rules]}
        chromium = driver.chromium.launch(**arguments, timeout=TIMEOUT * 1000)
        yield Browser(chromium)
        chromium.close()


@dataclass
class Lab:
    """A running JupyterLab: `url` and `token`, and the `folder` it serves."""

    url: str
    token: str
    folder: Path


@pytest.fixture(scope="module")
def lab(browser, tmp_path_factory):
    """JupyterLab in folders of its own, on a port the system chose, with kernels that import this package."""
    home = tmp_path_factory.mktemp("lab")
    folder, runtime, log = home / "work", home / "runtime", home / "log"
    settings = home / "settings" / "@jupyterlab" / "notebook-extension" / "tracker.jupyterlab-settings"
    config = home / "config" / "labconfig" / "page_config.json"
    for path in (folder, runtime, settings.parent, config.parent):
        path.mkdir(parents=True)
    # News and the list of extensions would be fetched from outside; cells out of sight are rendered too.
    config.write_text(
        json.dumps({"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}})
    )
    settings.write_text(json.dumps({"windowingMode": "none"}))
    places = {"JUPYTER_CONFIG_DIR": "config", "JUPYTER_DATA_DIR": "data", "JUPYTER_RUNTIME_DIR": "runtime"}
    places |= {"JUPYTERLAB_SETTINGS_DIR": "settings", "JUPYTERLAB_WORKSPACES_DIR": "workspaces"}
    places |= {"HOME": "", "IPYTHONDIR": "ipython"}
    environment = os.environ | {name: str(home / place) for name, place in places.items()}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ServerApp.port=0"]
    command += [
        f"--ServerApp.root_dir={folder}",
        "--ServerApp.ip=127.0.0.1",
        "--LabApp.extension_manager=readonly",
    ]
    with log.open("wb") as file:
        options = {
            "cwd": folder,
            "env": environment,
            "stdout": file,
            "stderr": file,
            "start_new_session": True,
        }
        server = subprocess.Popen(command, **options)
    try:
        yield _wait_for(server, runtime, log, folder)
    finally:
        server.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            server.wait(timeout=60)
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def _wait_for(server: subprocess.Popen, runtime: Path, log: Path, folder: Path) -> Lab:
    until = time.monotonic() + TIMEOUT
    while time.monotonic() < until and server.poll() is None:
        for file in runtime.glob("jpserver-*.json"):
            with suppress(ValueError, OSError):
                record = json.loads(file.read_text())
                lab = Lab(f"http://127.0.0.1:{record['port']}/", record["token"], folder)
                urlopen(f"{lab.url}api/status?token={lab.token}", timeout=10).close()
                return lab
        time.sleep(0.2)
    pytest.fail(f"JupyterLab did not answer:\n{log.read_text()}")


@pytest.fixture(scope="session")
def sample_evidence():
    """A function that makes up evidence: `sample_evidence(frames=12, classes=3, seed=0, **changes)`."""
    return _sample_evidence


def _sample_evidence(*, frames=12, classes=3, seed=0, linear=True, **changes):
    from dmlkit.explorer.evidence import Evidence

    rng = np.random.default_rng(seed)
    logits = rng.normal(size=frames).astype(np.float32)
    weights = np.exp(logits - logits.max(initial=0.0))
    weights = weights / weights.sum() if frames else weights
    contributions, biases = rng.normal(size=(frames, classes)), rng.normal(size=classes) - 2
    exact, estimated = {"contributions": contributions, "biases": biases}, {"occlusion": 0.05 * contributions}
    settings = {
        "video": f"video{seed:04d}",
        "run": "Attention",
        "times": np.arange(frames),
        "weights": weights,
        "logits": logits,
        "classes": tuple(range(classes)),
        "names": tuple(f"class {number}" for number in range(classes)),
        "scores": 1 / (1 + np.exp(-(weights @ contributions + biases))),
        "true": (0, 1)[:classes],
        "ground_truth": {0: (np.arange(frames) >= frames // 3) & (np.arange(frames) < frames // 2)}
        if classes
        else {},
        "energy": {name: rng.uniform(1, 3, frames) for name in ("rgb", "audio")},
        "change": {name: rng.uniform(0, 1, frames) for name in ("rgb", "audio")},
        **(exact if linear else estimated),
    }
    return Evidence(**settings | changes)
