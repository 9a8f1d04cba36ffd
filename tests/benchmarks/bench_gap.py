"""GAP@20 against a plain loop with a heap, in one process; prints ratios and asserts nothing.

    python tests/benchmarks/bench_gap.py [videos] [classes]

The plain loop is the measure as one writes it down: a heap picks each video's 20 best, one sorted list holds
the pool. The second rival lets `argpartition` pick them, video by video, as YouTube-8M's starter code does.
Both go pair by pair and so split the few equal scores there are: their figures differ in the eighth place.
"""

import heapq
import sys
import time

import numpy as np

from dmlkit.metrics import GlobalAveragePrecision, gap_interval, global_average_precision, measure


def gap_of_pool(pool, true_labels):
    """Σ p(i) Δr(i), pair by pair."""
    pool.sort(reverse=True)
    hits, total = 0, 0.0
    for place, (_, correct) in enumerate(pool, start=1):
        if correct:
            hits += 1
            total += hits / place
    return total / true_labels


def plain_loop(scores, labels, top_k=20):
    """A heap for each video, a sorted list for all of them."""
    pool, true_labels = [], 0
    for video_scores, video_labels in zip(scores, labels, strict=True):
        video_labels = video_labels.tolist()
        true_labels += sum(video_labels)
        best = heapq.nlargest(top_k, zip(video_scores.tolist(), range(len(video_labels)), strict=True))
        pool += [(score, video_labels[label]) for score, label in best]
    return gap_of_pool(pool, true_labels)


def argpartition_loop(scores, labels, top_k=20):
    """The same with numpy inside each video, as in the starter code."""
    pool, true_labels = [], 0
    for video_scores, video_labels in zip(scores, labels, strict=True):
        true_labels += int(video_labels.sum())
        for label in np.argpartition(video_scores, -top_k)[-top_k:]:
            pool.append((video_scores[label], video_labels[label]))
    return gap_of_pool(pool, true_labels)


def streaming(scores, labels, batch=256):
    """As an evaluation over batches does it."""
    gap = GlobalAveragePrecision()
    for start in range(0, len(scores), batch):
        gap.update(scores[start : start + batch], labels[start : start + batch])
    return gap.result()


def in_turns(functions, scores, labels, rounds=5):
    """Seconds (functions, rounds) and results, all of them in every round, so that a busy spell hits all."""
    seconds = np.empty((len(functions), rounds))
    results = [None] * len(functions)
    for turn in range(rounds):
        for i, function in enumerate(functions):
            begin = time.perf_counter()
            results[i] = function(scores, labels)
            seconds[i, turn] = time.perf_counter() - begin
    return seconds, results


def main(videos=5000, classes=3862):
    """Print the table."""
    rng = np.random.default_rng(0)
    labels = rng.random((videos, classes)) < 3 / classes
    scores = rng.standard_normal((videos, classes), dtype=np.float32)
    scores[labels] += 4
    metrics = {
        "global_average_precision": global_average_precision,
        "GlobalAveragePrecision, 256 a batch": streaming,
        "plain loop, a heap a video": plain_loop,
        "plain loop, argpartition a video": argpartition_loop,
    }
    seconds, gaps = in_turns(list(metrics.values()), scores, labels)
    ratios = np.median(seconds / seconds[0], axis=1)
    print(
        f"GAP@20 of {videos} videos x {classes} classes, float32 scores; medians of {seconds.shape[1]} rounds"
    )
    print(f"{'':36}{'seconds':>9}{'ratio':>8}{'GAP@20':>14}")
    for name, taken, ratio, gap in zip(metrics, np.median(seconds, axis=1), ratios, gaps, strict=True):
        print(f"{name:36}{taken:9.3f}{ratio:8.1f}{gap:14.9f}")
    others = {"measure (all of them)": measure, "gap_interval, 1000 resamples": gap_interval}
    seconds, _ = in_turns(list(others.values()), scores, labels, rounds=3)
    for name, taken in zip(others, np.median(seconds, axis=1), strict=True):
        print(f"{name:36}{taken:9.3f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
