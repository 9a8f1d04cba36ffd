"""`dmlkit data check` over shards of each layout; prints rates and ratios, and asserts nothing.

    python tests/benchmarks/bench_check.py [megabytes] [rounds]

Beside it, in the same rounds: the same files merely read (1 MB at a time), read with every checksum (`records.scan_records`),
and read by TensorFlow's own reader, which looks at checksums and at no contents. The shards lie in a temporary folder
and so in the machine's page cache. Two processes take a part of a second to start, which is counted; each would
import this file anew, so TensorFlow is imported where it is used.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from dmlkit.data.records import scan_records

import dmlkit.data
from dmlkit.data.check import check
from dmlkit.runtime import quiet_startup

SIZES = {"rgb": 1024, "audio": 128}
CLASSES = 3862
# Distinct records; all others are the same under another name.
DISTINCT = 8


def frames(rng, dtype):
    """A record of 120 to 300 frames, as a function of a video's name."""
    length = rng.integers(120, 301)
    matrices = {name: rng.integers(0, 256, (length, size)).astype(dtype) for name, size in SIZES.items()}
    return lambda name: dmlkit.data.serialize_frames(video_id=name, labels=[1, int(length)], frames=matrices)


def video(rng):
    """A record of means."""
    means = {f"mean_{name}": rng.normal(size=size) for name, size in SIZES.items()}
    return lambda name: dmlkit.data.serialize_video(video_id=name, labels=[1, 2, 3], features=means)


def clip(rng):
    """A record as AudioSet's, 10 frames."""
    matrix = {"audio_embedding": rng.integers(0, 256, (10, 128), dtype=np.uint8)}
    return lambda name: dmlkit.data.serialize_frames(
        video_id=name, labels=[1, 2], frames=matrix, id_key="video_id"
    )


# Name → how a record is made, share of the megabytes, records a shard.
LAYOUTS = {
    "frames of 1,152 bytes": (lambda rng: frames(rng, np.uint8), 1.0, 100),
    "frames of 1,152 floats": (lambda rng: frames(rng, np.float32), 1.0, 25),
    "video level, 1,152 floats": (video, 0.4, 1000),
    "tiny shards, 10 frames of 128 bytes": (clip, 0.05, 5),
}


def write(folder, make, megabytes, each):
    """Shards of one layout; returns their paths."""
    rng = np.random.default_rng(0)
    makers = [make(rng) for _ in range(DISTINCT)]
    shards, written = [], 0
    while written < megabytes * 1e6:
        names = (f"{len(shards)}-{number}" for number in range(each))
        shards.append(os.path.join(folder, f"train{len(shards):05}.tfrecord"))
        dmlkit.data.write_shard(shards[-1], [makers[i % DISTINCT](name) for i, name in enumerate(names)])
        written += os.path.getsize(shards[-1])
    Path(folder, "vocabulary.csv").write_text(f"Index,Name\n{CLASSES - 1},last\n")
    return shards


def read(shards):
    """Only read."""
    for shard in shards:
        with open(shard, "rb", buffering=0) as file:
            while file.read(1 << 20):
                pass


def walked(shards):
    """Read with checksums."""
    for shard in shards:
        for _ in scan_records(shard):
            pass


def by_tensorflow(shards):
    """TensorFlow's reader, a file after the other."""
    with quiet_startup():
        import tensorflow as tf

    for _ in tf.data.TFRecordDataset(shards):
        pass


def measured(folder, shards, rounds):
    """Way → seconds of each round; all ways in every round, so that a busy spell hits all."""
    ways = {
        "read": lambda: read(shards),
        "read with checksums": lambda: walked(shards),
        "TFRecordDataset": lambda: by_tensorflow(shards),
        "check, 1 process": lambda: check(folder),
        "check, 2 processes": lambda: check(folder, jobs=2),
    }
    seconds = {way: np.empty(rounds + 1) for way in ways}
    for turn in range(rounds + 1):
        for way, run in ways.items():
            begin = time.perf_counter()
            run()
            seconds[way][turn] = time.perf_counter() - begin
    return {way: taken[1:] for way, taken in seconds.items()}  # the first round warms up


def main(megabytes=200, rounds=5):
    """Print the tables."""
    for layout, (make, share, each) in LAYOUTS.items():
        with tempfile.TemporaryDirectory() as folder:
            shards = write(folder, make, megabytes * share, each)
            size = sum(os.path.getsize(shard) for shard in shards) / 1e6
            seconds = measured(folder, shards, rounds)
        print(f"{layout}: {size:,.0f} MB in {len(shards):,} shards, medians of {rounds} rounds")
        for way, taken in seconds.items():
            print(
                f"  {way:24}{np.median(taken):8.3f} s{size / np.median(taken):8,.0f} MB/s"
                f"{np.median(seconds['read'] / taken):8.3f} x the rate of reading"
            )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
