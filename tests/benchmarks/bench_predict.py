"""Peak memory and speed of evaluate and predict; prints figures and asserts nothing.

    python tests/benchmarks/bench_predict.py [few] [many]

A process each scores `few` (5,000) and `many` (50,000) generated video-level videos of YouTube-8M's sizes with
logistic regression; the ratio of their peaks is what memory does with the number of videos. Where
DMLKIT_REAL_DATA names a folder of real data sets, videos a second on its `yt8m-2018-video`, model loading aside.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from common import CLASSES, SIZES

A_SHARD = 1000


def generate(folder, videos):
    """A data set of 300 training videos and so many to validate, which are the same thousand repeated."""
    from dmlkit.data import Feature, serialize_video, write_dataset_toml, write_shard

    rng = np.random.default_rng(0)

    def records(count):
        for number in range(count):
            features = {f"mean_{name}": rng.standard_normal(size, np.float32) for name, size in SIZES.items()}
            labels = rng.choice(CLASSES, 3, replace=False).tolist()
            yield serialize_video(video_id=f"v{number:07}", labels=labels, features=features)

    folder.mkdir(parents=True)
    for name in ("train0000", "train0001"):
        write_shard(folder / f"{name}.tfrecord", records(150))
    write_shard(folder / "validate0000.tfrecord", records(A_SHARD))
    for number in range(1, videos // A_SHARD):
        os.link(folder / "validate0000.tfrecord", folder / f"validate{number:04}.tfrecord")
    write_dataset_toml(
        folder,
        name="generated at random",
        level="video",
        features={name: Feature(name, size, "float", f"mean_{name}") for name, size in SIZES.items()},
        num_classes=CLASSES,
        splits={"train": ["train*.tfrecord"], "validate": ["validate*.tfrecord"]},
    )


def score(what, run, data, out):
    """In a process of its own: seconds without loading the model, videos, and the peak."""
    import resource

    from dmlkit.runs import load_run
    from dmlkit.training import evaluate, submit

    run = load_run(run)
    run.model.count_params()
    since = time.perf_counter()
    if what == "evaluate":
        videos = evaluate(run, data=data)["videos"]
    else:
        videos = submit(run, data=data, split="validate", out=out)
    seconds = time.perf_counter() - since
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"videos": videos, "seconds": seconds, "peak": peak}))


def score_in_child(*arguments):
    """What `score` prints in a process of its own."""
    command = [sys.executable, __file__, "score", *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main(few=5_000, many=50_000):
    """Print a table of the generated videos, and one of the real videos where there are any."""
    print("logistic regression; the ratio is of the first peak")
    print(f"{'':10}{'videos':>9}{'videos/s':>10}{'peak MiB':>10}{'ratio':>7}")
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        for videos in (few, many):
            generate(folder / str(videos), videos)
        tables = {"generated": [folder / str(few), folder / str(many)]}
        real = Path(os.environ.get("DMLKIT_REAL_DATA", "")) / "yt8m-2018-video"
        if real.is_dir():
            tables[real.name] = [real, real]
        for name, sets in tables.items():
            run = folder / name
            # In a process of its own too: a child's peak is at least what its parent holds when it starts.
            options = ["--out", run, "--profile", "smoke", "--set", "epochs=1"]
            train = [sys.executable, "-m", "dmlkit.cli", "train", "lr", "--data", sets[0], *options]
            subprocess.run(train, stdout=subprocess.DEVNULL, check=True)
            print(name)
            for what in ("evaluate", "predict"):
                peaks = []
                for data in sets:
                    found = score_in_child(what, run, data, folder / "out.csv")
                    rate = found["videos"] / found["seconds"]
                    peaks.append(found["peak"])
                    print(
                        f"{what:10}{found['videos']:9,}{rate:10,.0f}{peaks[-1]:10,.0f}{peaks[-1] / peaks[0]:7.2f}"
                    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["score"]:
        score(*sys.argv[2:])
    else:
        main(*map(int, sys.argv[1:]))
