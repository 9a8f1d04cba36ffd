"""How long a folder of many runs takes to list. Run as `python tests/benchmarks/bench_runs.py [RUNS]`."""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from dmlkit.experiments import ATTENTION, LADDER, Experiment
from dmlkit.profiles import PROFILES

TRAINED = [rung for rung in LADDER.values() if isinstance(rung, Experiment)]


def make_runs(folder: Path, count: int) -> None:
    """Folders as trainings leave them, but for the numbers in them: a record, a history, scores, a model."""
    rng = np.random.default_rng(0)
    for number in range(count):
        rung, gap = TRAINED[number % len(TRAINED)], float(rng.random())
        run = folder / f"{rung.name}-{number:08x}"
        run.mkdir(parents=True)
        record = {
            "kind": "training", "fingerprint": f"{number:016x}", "experiment": rung.to_record(),
            "profile": PROFILES["demo"].to_record(), "seed": number, "precision": "float32",
            "deterministic": False, "parameters": 150_456, "epochs": 8, "best_epoch": 8,
            "data": {"name": "generated data, frame level, seed 0", "fingerprint": "7" * 64, "level": "frame",
                     "features": {"rgb": 64, "audio": 16}, "num_classes": 24, "generated": True,
                     "videos": {"train": 1800, "tuning": 200, "validate": 1000}, "notes": ["a note " * 10]},
            "seconds": {"training": 16.13}, "started": "2026-11-22T13:01:27+00:00", "tuning": {"gap": gap},
            "metrics": {"gap": gap, "gap_interval": [gap - 0.01, gap + 0.01], "map": 0.85, "hit_at_one": 0.99,
                         "perr": 0.9, "videos": 1000, "map_classes": 24, "num_classes": 24},
            "scores_kept": "all", "versions": {"python": "3.11.7", "keras": "3.15.1"}, "git_commit": "6" * 40,
        }  # fmt: skip
        (run / "run.json").write_text(json.dumps(record, indent=2) + "\n")
        (run / "history.csv").write_text("epoch,loss,tuning_gap\n" + "1,0.5,0.5\n" * 8)
        for name, size in (("predictions.npz", 150_000), ("tuning.npz", 30_000), ("model.keras", 60_000)):
            (run / name).write_bytes(rng.bytes(size))


def main() -> None:
    """Make the runs, then time `dmlkit.load_runs` and the command."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    with tempfile.TemporaryDirectory() as folder:
        make_runs(Path(folder), count)
        since = time.perf_counter()
        import dmlkit

        dmlkit.load_runs(folder)
        first = time.perf_counter() - since
        since = time.perf_counter()
        table = dmlkit.load_runs(folder)
        again = time.perf_counter() - since
        since = time.perf_counter()
        command = [sys.executable, "-m", "dmlkit.cli", "runs", folder, "--experiment", ATTENTION.name]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        print(
            f"{len(table):,} runs: load_runs {first:.2f} s with the imports, {again:.2f} s again; "
            f"`dmlkit runs` {time.perf_counter() - since:.2f} s"
        )


if __name__ == "__main__":
    main()
