"""How long switching videos and removing frames takes in the kernel, and how much a video and run weighs.

    python tests/benchmarks/bench_evidence.py [RUN[,RUN,RUN] DATA [videos]]

Without arguments: generated videos of 120 to 300 frames at YouTube-8M's sizes, and three untrained models of the
demo profile's. Prints milliseconds and bytes; asserts nothing.
"""

import json
import os
import sys
import tempfile
import time

import numpy as np

from dmlkit.runtime import quiet_startup

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
with quiet_startup():
    from dmlkit.data import FULL_FRAMES, FULL_SIZES, open_dataset, synthesize
    from dmlkit.explorer.sources import ModelSource
    from dmlkit.models import build


def main(runs: str | None = None, data: str | None = None, videos: str = "60") -> None:
    with tempfile.TemporaryDirectory() as folder:
        if runs is None:
            data = synthesize(
                folder + "/data", train=20, validate=60, test=0, sizes=FULL_SIZES, max_frames=FULL_FRAMES
            )
            chosen = [_untrained(open_dataset(data), encoder) for encoder in ("bi_gru", "bi_lstm", "bi_gru")]
        else:
            chosen = runs.split(",")
        _measure(chosen, data, int(videos))


def _untrained(dataset, encoder):
    features = {each.name: (each.size, each.coding) for each in dataset.features.values()}
    return build(
        features=features,
        level="frame",
        num_classes=dataset.num_classes,
        encoder=encoder,
        units=64,
        layers=2,
        pooling="attention",
    )


def _measure(chosen, data, videos: int) -> None:
    start = time.perf_counter()
    source = ModelSource(chosen, data)
    names = list(source.videos)[:videos]
    print(
        f"{len(chosen)} runs, open and list {len(source.videos):,} videos: {time.perf_counter() - start:.2f} s"
    )
    start = time.perf_counter()
    source.evidence(names[0])
    print(f"the first video, for which the graphs are made: {time.perf_counter() - start:.2f} s")
    found, switched, removed = [], [], []
    for name in names[1:]:
        start = time.perf_counter()
        said = [json.dumps(each.to_json()) for each in source.evidence(name)]
        switched.append(time.perf_counter() - start)
        found.extend(map(len, said))
        frames = source.evidence(name)[0].frames
        if frames > 2:
            start = time.perf_counter()
            source.evidence(name, removed=[0, frames // 2])
            removed.append(time.perf_counter() - start)
    _say("switch to another video", switched)
    _say("remove two frames", removed)
    print(f"bytes a video and run: median {np.median(found):,.0f}, most {max(found):,}")
    start = time.perf_counter()
    source.worst()
    print(f"worst mistakes: {time.perf_counter() - start:.2f} s")


def _say(what: str, seconds: list[float]) -> None:
    median, high, most = 1000 * np.percentile(seconds, [50, 95, 100])
    print(f"{what}: median {median:.1f} ms, 95 % {high:.1f} ms, worst {most:.1f} ms")


if __name__ == "__main__":
    main(*sys.argv[1:])
