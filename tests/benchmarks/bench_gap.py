"""GAP@20 against a plain loop with a heap, in one process; prints ratios and asserts nothing.

    python tests/benchmarks/bench_gap.py [videos] [classes]

The plain loop is the definition written down: a heap picks each video's 20 best, one sorted list holds the pool. The
second baseline lets `argpartition` pick them, video by video, as YouTube-8M's starter code does. Both go pair by pair
and so split the few equal scores there are: their results differ in the eighth digit.
"""

import heapq
import sys
from functools import partial

import numpy as np
from common import in_turns

from dmlkit.metrics import GlobalAveragePrecision, RankingMetrics, gap_interval, global_average_precision


def plain_loop(scores, labels, highest):
    """Σ p(i) Δr(i), pair by pair over one sorted list of each video's highest 20."""
    pool, true_labels = [], 0
    for video_scores, video_labels in zip(scores, labels, strict=True):
        true_labels += int(video_labels.sum())
        pool += [(video_scores[label], video_labels[label]) for label in highest(video_scores)]
    pool.sort(reverse=True)
    hits, total = 0, 0.0
    for place, (_, correct) in enumerate(pool, start=1):
        if correct:
            hits += 1
            total += hits / place
    return total / true_labels


def by_heap(video_scores):
    """The indices of the 20 highest."""
    values = video_scores.tolist()
    return heapq.nlargest(20, range(len(values)), key=values.__getitem__)


def by_argpartition(video_scores):
    """The same as in the starter code."""
    return np.argpartition(video_scores, -20)[-20:]


def streaming(scores, labels, batch=256):
    """As an evaluation over batches does it."""
    gap = GlobalAveragePrecision()
    for start in range(0, len(scores), batch):
        gap.update(scores[start : start + batch], labels[start : start + batch])
    return gap.result()


def main(videos=5000, classes=3862):
    """Print the table."""
    rng = np.random.default_rng(0)
    labels = rng.random((videos, classes)) < 3 / classes
    scores = rng.standard_normal((videos, classes), dtype=np.float32)
    scores[labels] += 4
    metrics = {
        "global_average_precision": global_average_precision,
        "GlobalAveragePrecision, 256 a batch": streaming,
        "plain loop, a heap a video": partial(plain_loop, highest=by_heap),
        "plain loop, argpartition a video": partial(plain_loop, highest=by_argpartition),
    }
    seconds = in_turns({name: partial(each, scores, labels) for name, each in metrics.items()}, rounds=5)
    print(f"GAP@20 of {videos} videos x {classes} classes, float32 scores; medians of 5 rounds")
    print(f"{'':36}{'seconds':>9}{'ratio':>8}{'GAP@20':>14}")
    for name, metric in metrics.items():
        ratio = np.median(seconds[name] / seconds["global_average_precision"])
        gap = metric(scores, labels)
        print(f"{name:36}{np.median(seconds[name]):9.3f}{ratio:8.1f}{gap:14.9f}")

    def all_of_them(scores, labels):
        metrics = RankingMetrics(classes)
        metrics.update(1 / (1 + np.exp(-scores)), labels)
        return metrics.result()

    others = {"RankingMetrics (all of them)": all_of_them, "gap_interval, 1000 resamples": gap_interval}
    seconds = in_turns({name: partial(each, scores, labels) for name, each in others.items()}, rounds=3)
    for name, each in seconds.items():
        print(f"{name:36}{np.median(each):9.3f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
