"""How well shuffling takes the rated segments of a video apart.

3,600 videos of YouTube-8M's size in 36 training shards, five rated segments each, batches of 512. Takes 1.1 GB of disk.

    python tests/benchmarks/bench_segments.py
"""

import tempfile

import numpy as np

from dmlkit.data import open_dataset, serialize_frames, write_shard

VIDEOS, SHARDS, FRAMES, RATED, BATCH = 100, 40, 230, 5, 512


def main() -> None:
    rng = np.random.default_rng(0)
    frames = {
        name: rng.integers(0, 256, (FRAMES, size), np.uint8) for name, size in (("rgb", 1024), ("audio", 128))
    }
    with tempfile.TemporaryDirectory() as folder:
        for shard in range(SHARDS + 1):
            name = f"train{shard:04}" if shard < SHARDS else "validate0000"
            starts = [5 * rng.choice(FRAMES // 5, RATED, replace=False) for _ in range(VIDEOS)]
            records = (
                serialize_frames(
                    frames=frames,
                    video_id=f"{name}-{i}",
                    labels=[0],
                    ratings=[(int(start), 1, True) for start in each],
                )
                for i, each in enumerate(starts)
            )
            write_shard(f"{folder}/{name}.tfrecord", records)
        dataset = open_dataset(folder, unit="segment", num_classes=3862)
        videos = dataset.num_videos("train")
        for shuffle in (True, False):
            distinct = []
            for batch in dataset.batches("train", batch_size=BATCH, shuffle=shuffle):
                if len(batch["id"]) == BATCH:
                    distinct.append(len({each.partition(":")[0] for each in batch["id"]}))
            how = "shuffled" if shuffle else "in order"
            print(f"{how}: {np.mean(distinct):.0f} videos in a batch of {BATCH}")
    # Each of a video's segments misses the batch with this probability.
    chance = 1 - (1 - BATCH / (videos * RATED)) ** RATED
    print(f"drawn at random: {videos * chance:.0f} of {videos:,} videos")


if __name__ == "__main__":
    main()
