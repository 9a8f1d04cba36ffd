"""A real JupyterLab, and a browser to look at it."""

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
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# On two busy cores JupyterLab's first page alone can take a minute.
PATIENCE = 240


@dataclass
class Lab:
    """A running JupyterLab: `url` and `token`, and the `folder` it serves."""

    url: str
    token: str
    folder: Path


@dataclass
class Browser:
    """A headless Chromium: pages, and every address one of them asked for that is not this machine's."""

    chromium: object
    outside: list[str] = field(default_factory=list)

    @contextmanager
    def page(self, *, width: int, picture: Path, height: int = 900):
        """A page; how it looked at the end, well or badly, is kept as `picture`."""
        page = self.chromium.new_page(viewport={"width": width, "height": height})
        page.set_default_timeout(PATIENCE * 1000)
        page.on("request", lambda request: self._look(request.url))
        page.on("websocket", lambda socket: self._look(socket.url))
        try:
            yield page
        finally:
            page.screenshot(path=picture)
            page.close()

    def _look(self, address: str) -> None:
        parsed = urlparse(address)
        if parsed.scheme not in ("data", "blob", "about", "file") and parsed.hostname != "127.0.0.1":
            self.outside.append(address)


# Not for the session: while playwright runs, asyncio takes its loop for everyone's, and notebooks run by
# other tests would stumble over it.
@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    executable = next(filter(None, map(shutil.which, BROWSERS)), None)
    if executable is None:
        pytest.skip(
            f"no Chromium on the PATH ({', '.join(BROWSERS)}): on Debian, install the package chromium"
        )
    with playwright.sync_playwright() as driver:
        # What is not this machine does not resolve: a request would fail, and is seen as well.
        rules = "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"
        chromium = driver.chromium.launch(
            executable_path=executable, args=[*QUIET, rules], timeout=PATIENCE * 1000
        )
        yield Browser(chromium)
        chromium.close()


@pytest.fixture(scope="module")
def lab(browser, tmp_path_factory):
    """JupyterLab in folders of its own, on a port that the system chose, with kernels that import this package."""
    home = tmp_path_factory.mktemp("lab")
    folder, runtime, settings = home / "work", home / "runtime", home / "settings"
    for path in (
        folder,
        runtime,
        home / "config" / "labconfig",
        settings / "@jupyterlab" / "notebook-extension",
    ):
        path.mkdir(parents=True)
    # News and the list of extensions would be fetched from outside.
    quiet = {"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}
    (home / "config" / "labconfig" / "page_config.json").write_text(json.dumps(quiet))
    # Every cell is drawn, also those out of sight.
    tracker = settings / "@jupyterlab" / "notebook-extension" / "tracker.jupyterlab-settings"
    tracker.write_text(json.dumps({"windowingMode": "none"}))
    environment = os.environ | {
        "HOME": str(home),
        "IPYTHONDIR": str(home / "ipython"),
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_RUNTIME_DIR": str(runtime),
        "JUPYTERLAB_SETTINGS_DIR": str(settings),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
    }
    command = [
        sys.executable,
        "-m",
        "jupyterlab",
        "--no-browser",
        "--allow-root",
        f"--ServerApp.root_dir={folder}",
    ]
    command += ["--ServerApp.ip=127.0.0.1", "--ServerApp.port=0", "--LabApp.extension_manager=readonly"]
    log = home / "log"
    with log.open("wb") as file:
        server = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield _answering(server, runtime, log, folder)
    finally:
        _end(server)


def _answering(server: subprocess.Popen, runtime: Path, log: Path, folder: Path) -> Lab:
    """Wait until the server has said where it listens, and listens."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        if server.poll() is not None:
            pytest.fail(f"JupyterLab ended with {server.returncode}:\n{log.read_text()}")
        for file in runtime.glob("jpserver-*.json"):
            try:
                said = json.loads(file.read_text())
                lab = Lab(f"http://127.0.0.1:{said['port']}/", said["token"], folder)
                urlopen(f"{lab.url}api/status?token={lab.token}", timeout=10).close()
                return lab
            except (ValueError, OSError):
                pass
        time.sleep(0.2)
    pytest.fail(f"JupyterLab did not answer within {PATIENCE} s:\n{log.read_text()}")


def _end(server: subprocess.Popen) -> None:
    """Ask the server to end, which ends its kernels; what is left of its group is killed."""
    server.send_signal(signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        server.wait(timeout=60)
    with suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGKILL)
    server.wait()


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
    exact, guessed = {"contributions": contributions, "biases": biases}, {"occlusion": 0.05 * contributions}
    planted = np.zeros(frames, bool)
    planted[frames // 3 : frames // 2] = True
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
        "planted": {0: planted} if classes else {},
        "energy": {name: rng.uniform(1, 3, frames) for name in ("rgb", "audio")},
        "change": {name: rng.uniform(0, 1, frames) for name in ("rgb", "audio")},
        **(exact if linear else guessed),
    }
    return Evidence(**settings | changes)
