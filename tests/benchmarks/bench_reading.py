"""Reading frame-level shards against two rivals, in one process; prints ratios and asserts nothing.

    python tests/benchmarks/bench_reading.py [videos] [batch size]

The first rival reads as YouTube-8M's starter code does: one record at a time, frames to floats, dequantised,
modalities side by side, padded to 300, then batched; once as it stands, once with as many records side by side
as ``tf.data`` likes. The second only reads: the records of the same shards through ``TFRecordDataset``,
unparsed. Frames are 1024 + 128 bytes, 120 to 300 a video; the shards lie in a temporary folder and so in the
machine's page cache. The pipeline of ``as_tensorflow`` is made once, as `train` makes it once an epoch.

Where DMLKIT_REAL_DATA names real data, their folders are read too: AudioSet's 4,070 tiny shards and YouTube-8M's
video level.
"""

import os
import sys
import tempfile
import time

import numpy as np

from dmlkit.runtime import quiet_startup

with quiet_startup():
    import tensorflow as tf

from dmlkit.data import Feature, open_dataset, serialize_frames, write_dataset_toml, write_shard

SIZES = {"rgb": 1024, "audio": 128}
CLASSES = 3862
SHARDS = 8
# The other shards train.
SPLITS = {0: "validate", 1: "tuning"}
PADDED = 300


def write_data(folder, videos):
    """Eight shards of random frames and their dataset.toml."""
    rng = np.random.default_rng(0)
    frames = {name: rng.integers(0, 256, (PADDED, size), dtype=np.uint8) for name, size in SIZES.items()}
    for shard in range(SHARDS):
        lengths = rng.integers(120, PADDED + 1, videos // SHARDS)
        records = (
            serialize_frames(
                video_id=f"{shard}-{number}",
                labels=rng.choice(CLASSES, 3, replace=False),
                frames={name: matrix[:length] for name, matrix in frames.items()},
            )
            for number, length in enumerate(lengths)
        )
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
            matrices.append(
                tf.ensure_shape(tf.pad(matrix, [[0, PADDED - num_frames], [0, 0]]), [PADDED, size])
            )
        classes = context["labels"].values
        labels = tf.scatter_nd(classes[:, None], tf.ones_like(classes, tf.float32), [CLASSES])
        return context["id"], tf.concat(matrices, 1), labels, num_frames

    parsed = tf.data.TFRecordDataset(shards).map(parse, num_parallel_calls=parallel)
    return sum(len(ids) for ids, *_ in parsed.batch(batch_size).prefetch(2).as_numpy_iterator())


def unparsed(shards):
    """Raw records, one after another."""
    return sum(1 for _ in tf.data.TFRecordDataset(shards).as_numpy_iterator())


def into_fit(pipeline):
    """The same batches on the way into ``model.fit``."""
    return sum(len(labels) for _, labels in pipeline)


def real(name, batch_size=128, rounds=5):
    """A line on a folder of real data, all its splits with labels."""
    dataset = open_dataset(os.path.join(os.environ["DMLKIT_REAL_DATA"], name))
    splits = sorted(dataset.labelled)
    shards = [shard for split in splits for shard in dataset.splits[split]]

    def read(**settings):
        return sum(
            len(batch["id"])
            for split in splits
            for batch in dataset.batches(split, batch_size=batch_size, **settings)
        )

    seconds = in_turns([read, lambda: read(shuffle=True), lambda: unparsed(shards)], rounds)
    plain, shuffled, raw = np.median(seconds, axis=1)
    print(
        f"{name}: {len(shards):,} shards, {read():,} videos in {plain:.2f} s, shuffled in {shuffled:.2f} s; "
        f"{np.median(seconds[2] / seconds[0]):.2f} x the rate of raw records, unparsed ({raw:.2f} s)"
    )


def in_turns(readers, rounds):
    """Seconds (readers, rounds); all of them in every round, so that a busy spell hits all."""
    seconds = np.empty((len(readers), rounds))
    for turn in range(-1, rounds):
        for i, reader in enumerate(readers):
            begin = time.perf_counter()
            reader()
            if turn >= 0:
                seconds[i, turn] = time.perf_counter() - begin
    return seconds


def main(videos=800, batch_size=32, rounds=9):
    """Print the table, then a line on each folder of real data."""
    with tempfile.TemporaryDirectory() as folder:
        write_data(folder, videos)
        dataset = open_dataset(folder)
        shards = list(dataset.splits["train"])
        megabytes = sum(os.path.getsize(shard) for shard in shards) / 1e6
        batches = dataset.batches("train", batch_size=batch_size)
        shuffled = dataset.batches("train", batch_size=batch_size, shuffle=True)
        pipeline = batches.as_tensorflow()
        readers = {
            "batches()": lambda: sum(len(batch["id"]) for batch in batches),
            "batches(shuffle=True)": lambda: sum(len(batch["id"]) for batch in shuffled),
            "batches().as_tensorflow()": lambda: into_fit(pipeline),
            "one record at a time": lambda: one_at_a_time(shards, batch_size),
            "the same, in parallel": lambda: one_at_a_time(shards, batch_size, tf.data.AUTOTUNE),
            "raw records, unparsed": lambda: unparsed(shards),
        }
        seconds = in_turns(list(readers.values()), rounds)
        print(
            f"Reading {dataset.num_videos('train')} videos of 120 to {PADDED} frames, {megabytes:.0f} MB, "
            f"batches of {batch_size}; medians of {rounds} rounds"
        )
        print(f"{'':28}{'seconds':>9}{'MB/s':>8}{'x one at a time':>17}{'x parallel':>12}{'x raw rate':>12}")
        alone, parallel, raw = seconds[-3:]
        for name, taken in zip(readers, seconds, strict=True):
            median = np.median(taken)
            print(
                f"{name:28}{median:9.3f}{megabytes / median:8.0f}{np.median(alone / taken):17.2f}"
                f"{np.median(parallel / taken):12.2f}{np.median(raw / taken):12.2f}"
            )
    if os.environ.get("DMLKIT_REAL_DATA"):
        for name in ("audioset-frame", "yt8m-2018-video"):
            real(name)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
