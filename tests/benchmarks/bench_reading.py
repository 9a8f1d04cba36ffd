"""Reading frame-level shards against two baselines, in one process; prints ratios and asserts nothing.

    python tests/benchmarks/bench_reading.py [videos] [batch size]

The first baseline reads as YouTube-8M's starter code does: one record at a time, dequantized, modalities concatenated,
padded to 300 frames, then batched; sequentially, and with as many records in parallel as ``tf.data`` likes. The second
only reads: the records of the same shards through ``TFRecordDataset``, unparsed. Shards are in the page cache. The
pipeline of ``as_tensorflow`` is made once, as `train` makes it once an epoch.

Where DMLKIT_REAL_DATA names real data, their folders are read too: AudioSet's 4,070 tiny shards and YouTube-8M's
video level.
"""

import os
import sys
import tempfile
from functools import partial

import numpy as np
from common import CLASSES, SIZES, in_turns

from dmlkit.runtime import quiet_startup

with quiet_startup():
    import tensorflow as tf

from dmlkit.data import Feature, open_dataset, serialize_frames, write_dataset_toml, write_shard

SHARDS = 8
SPLITS = {0: "validate", 1: "tuning"}  # the other shards train
PADDED = 300


def write_data(folder, videos):
    """Eight shards of random frames and their dataset.toml."""
    rng = np.random.default_rng(0)
    frames = {name: rng.integers(0, 256, (PADDED, size), dtype=np.uint8) for name, size in SIZES.items()}
    for shard in range(SHARDS):
        records = []
        for number, length in enumerate(rng.integers(120, PADDED + 1, videos // SHARDS)):
            cut = {name: matrix[:length] for name, matrix in frames.items()}
            labels = rng.choice(CLASSES, 3, replace=False)
            records.append(serialize_frames(video_id=f"{shard}-{number}", labels=labels, frames=cut))
        write_shard(os.path.join(folder, f"{SPLITS.get(shard, 'train')}{shard}.tfrecord"), records)
    write_dataset_toml(
        folder,
        name="bench",
        level="frame",
        features={name: Feature(name, size, "byte", name) for name, size in SIZES.items()},
        num_classes=CLASSES,
        splits={split: [f"{split}*.tfrecord"] for split in ("train", *SPLITS.values())},
    )


def one_at_a_time(shards, batch_size, parallel=None):
    """The starter code's reader in ``tf.data``."""

    def parse(record):
        context, lists = tf.io.parse_single_sequence_example(
            record,
            {"id": tf.io.FixedLenFeature([], tf.string), "labels": tf.io.VarLenFeature(tf.int64)},
            {name: tf.io.FixedLenSequenceFeature([], tf.string) for name in SIZES},
        )
        matrices = []
        for name, size in SIZES.items():
            matrix = tf.reshape(tf.cast(tf.io.decode_raw(lists[name], tf.uint8), tf.float32), [-1, size])
            matrix = (matrix * (4 / 255) + (4 / 512 - 2))[:PADDED]
            num_frames = tf.shape(matrix)[0]
            padded = tf.pad(matrix, [[0, PADDED - num_frames], [0, 0]])
            matrices.append(tf.ensure_shape(padded, [PADDED, size]))
        classes = context["labels"].values
        labels = tf.scatter_nd(classes[:, None], tf.ones_like(classes, tf.float32), [CLASSES])
        return context["id"], tf.concat(matrices, 1), labels, num_frames

    parsed = tf.data.TFRecordDataset(shards).map(parse, num_parallel_calls=parallel)
    return sum(len(ids) for ids, *_ in parsed.batch(batch_size).prefetch(2).as_numpy_iterator())


def unparsed(shards):
    """Raw records, one after another."""
    return sum(1 for _ in tf.data.TFRecordDataset(shards).as_numpy_iterator())


def videos_of(batches) -> int:
    """Read all batches, of `Dataset.batches` or of its TensorFlow pipeline."""
    return sum(len(batch["id"] if isinstance(batch, dict) else batch[1]) for batch in batches)


def read_real(name, rounds=5):
    """A line on a folder of real data, all its splits with labels."""
    dataset = open_dataset(os.path.join(os.environ["DMLKIT_REAL_DATA"], name))
    shards = [shard for split in sorted(dataset.labelled) for shard in dataset.splits[split]]

    def read(**settings):
        splits = sorted(dataset.labelled)
        return sum(videos_of(dataset.batches(split, batch_size=128, **settings)) for split in splits)

    readers = {"plain": read, "shuffled": partial(read, shuffle=True), "raw": partial(unparsed, shards)}
    seconds = in_turns(readers, rounds, warm_up=1)
    plain, shuffled, raw = (np.median(each) for each in seconds.values())
    print(
        f"{name}: {len(shards):,} shards, {read():,} videos in {plain:.2f} s, shuffled in {shuffled:.2f} s; "
        f"{np.median(seconds['raw'] / seconds['plain']):.2f} x the rate of raw records, unparsed ({raw:.2f} s)"
    )


def main(videos=800, batch_size=32, rounds=9):
    """Print the table, then a line on each folder of real data."""
    with tempfile.TemporaryDirectory() as folder:
        write_data(folder, videos)
        dataset = open_dataset(folder)
        shards = list(dataset.splits["train"])
        megabytes = sum(os.path.getsize(shard) for shard in shards) / 1e6
        batches = dataset.batches("train", batch_size=batch_size)
        readers = {
            "batches()": partial(videos_of, batches),
            "batches(shuffle=True)": partial(
                videos_of, dataset.batches("train", batch_size=batch_size, shuffle=True)
            ),
            "batches().as_tensorflow()": partial(videos_of, batches.as_tensorflow()),
            "one record at a time": partial(one_at_a_time, shards, batch_size),
            "the same, in parallel": partial(one_at_a_time, shards, batch_size, tf.data.AUTOTUNE),
            "raw records, unparsed": partial(unparsed, shards),
        }
        seconds = in_turns(readers, rounds, warm_up=1)
        print(
            f"Reading {dataset.num_videos('train')} videos of 120 to {PADDED} frames, {megabytes:.0f} MB, "
            f"batches of {batch_size}; medians of {rounds} rounds"
        )
        print(f"{'':28}{'seconds':>9}{'MB/s':>8}{'x one at a time':>17}{'x parallel':>12}{'x raw rate':>12}")
        baselines = list(seconds.values())[-3:]
        for name, taken in seconds.items():
            ratios = [np.median(each / taken) for each in baselines]
            median = np.median(taken)
            print(
                f"{name:28}{median:9.3f}{megabytes / median:8.0f}{ratios[0]:17.2f}{ratios[1]:12.2f}{ratios[2]:12.2f}"
            )
    if os.environ.get("DMLKIT_REAL_DATA"):
        for name in ("audioset-frame", "yt8m-2018-video"):
            read_real(name)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
