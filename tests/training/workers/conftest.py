"""Workers as processes of their own, on loopback."""

import json
import os
import random
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

# Every kind of loss and every kind of step: see `PROFILE`.
WORKER = """
import dataclasses, json, os, sys
opened, log = [], sys.argv[3]
sys.addaudithook(lambda event, told: opened.append(str(told[0])) if event == "open" else None)
import dmlkit
from dmlkit.errors import DmlkitError
from dmlkit.profiles import SMOKE
from dmlkit.training.workers.replicas import Replicas

def noted(name):
    function = getattr(Replicas, name)
    def noting(self, *arguments, **settings):
        opened.clear()
        value = function(self, *arguments, **settings)
        shards = sorted({os.path.basename(path) for path in opened if path.endswith(".tfrecord")})
        with open(log, "a") as file:
            file.write(json.dumps([name, shards]) + "\\n")
        return value
    setattr(Replicas, name, noting)

for name in ("fit", "predict"):
    noted(name)
told = json.loads(sys.argv[4])
if __name__ == "__main__":
    try:
        dmlkit.train(told.pop("experiment"), data=sys.argv[1], out=sys.argv[2], strategy="multi-worker",
                     profile=dataclasses.replace(SMOKE, **told.pop("profile")), progress="lines", **told)
    except DmlkitError as error:
        print(f"dmlkit: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
"""


@dataclass
class Worker:
    """One process of a training, and where it writes."""

    process: subprocess.Popen
    said: Path
    noted: Path

    @property
    def text(self) -> str:
        return self.said.read_text()

    @property
    def notes(self) -> list:
        return [json.loads(line) for line in self.noted.read_text().splitlines()]

    def wait(self, seconds: float = 150) -> int:
        return self.process.wait(seconds)


def free_ports(count: int) -> list[int]:
    """Ports that are free, from below those that systems hand to outgoing connections, which could take them."""
    found = []
    while len(found) < count:
        port = random.randrange(20_000, 30_000)
        with socket.socket() as tried:
            try:
                tried.bind(("127.0.0.1", port))
            except OSError:
                continue
        found += [port] if port not in found else []
    return found


@pytest.fixture
def start_workers(tmp_path):
    """A function that starts the workers of a training; whoever is left when the test ends is ended."""
    started = []

    def start(data, out, *settings: dict) -> list[Worker]:
        """One worker for each of the settings: arguments of `train`, with the profile as what differs from SMOKE."""
        addresses = [f"127.0.0.1:{port}" for port in free_ports(len(settings))]
        workers = []
        for index, told in enumerate(settings):
            config = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
            environment = os.environ | {
                "TF_CONFIG": json.dumps(config),
                "TF_NUM_INTRAOP_THREADS": "1",
                "TF_NUM_INTEROP_THREADS": "2",
            }
            stem = tmp_path / f"worker-{len(started)}"
            said, noted = stem.with_suffix(".txt"), stem.with_suffix(".jsonl")
            noted.touch()
            with said.open("w") as file:
                process = subprocess.Popen(
                    [sys.executable, "-c", WORKER, str(data), str(out), str(noted), json.dumps(told)],
                    env=environment,
                    stdout=file,
                    stderr=subprocess.STDOUT,
                )
            workers.append(Worker(process, said, noted))
            started.append(process)
        return workers

    yield start
    for process in started:
        process.kill()
        process.wait()
