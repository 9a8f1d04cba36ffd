"""How long one epoch over YouTube-8M takes: the slowest of reading, computing, network and storage.

    python tests/benchmarks/bench_scale.py [GPU videos/s] [network MB/s a machine] [storage MB/s in all]

Reading is measured here, on generated frame-level shards in the page cache. The others are assumptions, printed and
overridden by arguments: the rate of one GPU (2 x 1,024 Bi-LSTM over all frames; `bench_gpu.py` measures it where there
is one), the network into one machine, and the storage for all machines together. An epoch takes as long as the slowest.
"""

import os
import sys
import tempfile

import numpy as np
from bench_reading import videos_of, write_data
from common import TRAINING_VIDEOS, in_turns

from dmlkit.data import open_dataset

# YouTube-8M 2018, frame level: videos and bytes of all splits.
ALL_VIDEOS = TRAINING_VIDEOS + 1_112_356 + 1_133_323
ALL_BYTES = 1.53e12

# Of the paper's encoder: two layers of 1,024 cells in each of two directions, over 1,152 features; a multiply and
# an addition are two operations, and the backward pass costs twice the forward pass.
CELLS, FEATURES = 1024, 1152
OPERATIONS_A_FRAME = 3 * 2 * 2 * 4 * CELLS * ((FEATURES + CELLS) + (2 * CELLS + CELLS))
# Assumed where none is given: 1e13 useful operations a second of a GPU, 10 Gbit/s into a machine of 8 GPUs at nine
# tenths, and as much from the storage as 8 such machines take.
OPERATIONS_A_SECOND = 1e13
NETWORK_MB, STORAGE_MB = 1125.0, 8 * 1125.0
GPUS, GPUS_A_MACHINE = (1, 8, 64), 8


def reading_rate(videos=400, batch_size=64, rounds=5):
    """MB/s of `Dataset.batches(shuffle=True)` of one process of this machine: the median of some rounds."""
    with tempfile.TemporaryDirectory() as folder:
        write_data(folder, videos)
        dataset = open_dataset(folder)
        batches = dataset.batches("train", batch_size=batch_size, shuffle=True)
        seconds = in_turns({"read": lambda: videos_of(batches)}, rounds, warm_up=1)["read"]
        return sum(map(os.path.getsize, dataset.splits["train"])) / 1e6 / float(np.median(seconds))


def main(gpu=None, network=NETWORK_MB, storage=STORAGE_MB):
    """Print the rates, and the hours that follow from them."""
    megabytes = ALL_BYTES * TRAINING_VIDEOS / ALL_VIDEOS / 1e6
    frames = ALL_BYTES / ALL_VIDEOS / FEATURES
    gpu = gpu or OPERATIONS_A_SECOND / (OPERATIONS_A_FRAME * frames)
    read = reading_rate()
    print(f"the training split: {TRAINING_VIDEOS:,} videos of {frames:.0f} frames, {megabytes / 1e6:.2f} TB")
    print(f"operations of a training step: {OPERATIONS_A_FRAME / 1e6:.0f} million a frame")
    print(f"one GPU: {gpu:,.0f} videos/s = {gpu * megabytes / TRAINING_VIDEOS:,.0f} MB/s (assumed or given)")
    print(f"reading, one process of this machine: {read:,.0f} MB/s (measured)")
    print(f"network: {network:,.0f} MB/s into each machine of {GPUS_A_MACHINE} GPUs (assumed or given)")
    print(f"storage: {storage:,.0f} MB/s in all (assumed or given)")
    print(f"the 1.71 TB of 2017's release, once through one process: {1.71e6 / read / 3600:.1f} h\n")
    print("hours of an epoch")
    print(f"{'GPUs':>5}{'machines':>10}{'compute':>11}{'reading':>11}{'network':>11}{'storage':>11}  slowest")
    for gpus in GPUS:
        machines = -(-gpus // GPUS_A_MACHINE)
        hours = {
            "compute": TRAINING_VIDEOS / (gpus * gpu) / 3600,
            "reading": megabytes / (machines * read) / 3600,
            "network": megabytes / (machines * network) / 3600,
            "storage": megabytes / storage / 3600,
        }
        slowest = max(hours, key=hours.get)
        print(f"{gpus:5}{machines:10}" + "".join(f"{each:11.2f}" for each in hours.values()) + f"  {slowest}")


if __name__ == "__main__":
    main(*map(float, sys.argv[1:]))
