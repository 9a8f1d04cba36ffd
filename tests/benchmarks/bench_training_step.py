"""A training step of the stacked Bi-LSTM and Bi-GRU, as ratios in one process; prints and asserts nothing.

    python tests/benchmarks/bench_training_step.py

Beside ours stands what one would write by hand with stock Keras layers: `Masking`, then two times
`Bidirectional(LSTM or GRU)`, then a sigmoid, of the same sizes, on the same batch, with the same loss. And
beside both the machine's own matrix-product rate, measured here too, on a product of the recurrence's own
size and on a large one.

Floating-point operations of a step, only the matrix products counted: forward, a layer's direction has
2 · B · T · gates · units · (inputs + units) with 4 gates for an LSTM and 3 for a GRU, the classifier
2 · B · 2 units · classes; backward costs twice that again (one product for the inputs' gradient, one for the
weights'), so a step is three times forward.
Ratios are medians of the turns' ratios, rates go by the median turn.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np

from dmlkit.runtime import quiet_startup

with quiet_startup():
    import keras
    import tensorflow as tf

from dmlkit.models import build, cross_entropy

GATES = {"bi_lstm": 4, "bi_gru": 3}
STOCK = {"bi_lstm": keras.layers.LSTM, "bi_gru": keras.layers.GRU}
SIZES = (
    {"videos": 128, "frames": 40, "size": 80, "units": 64, "classes": 24},
    {"videos": 64, "frames": 60, "size": 1152, "units": 256, "classes": 3862},
)
REPEATS = 7


def main() -> None:
    """Print a line for each size and encoder."""
    for sizes in SIZES:
        print(", ".join(f"{count} {name}" for name, count in sizes.items()))
        large = _product_rate(1024, 1024, 1024)
        step = _product_rate(sizes["videos"], sizes["units"], 4 * sizes["units"])
        print(f"  matrix products: {large:.0f} GFLOP/s large, {step:.0f} at the recurrence's size")
        inputs, labels = _batch(**sizes)
        for encoder in GATES:
            ours, stock = _in_turns(
                _step_of(_ours(encoder, **sizes), inputs, labels),
                _step_of(_stock(encoder, **sizes), inputs["frames"], labels),
            )
            seconds = statistics.median(ours)
            ratio = statistics.median(theirs / own for own, theirs in zip(ours, stock, strict=True))
            rate = _operations(encoder, **sizes) / seconds / 1e9
            print(
                f"  {encoder}: ours {seconds * 1e3:.0f} ms, stock {statistics.median(stock) * 1e3:.0f} ms, "
                f"stock / ours {ratio:.2f}; {rate:.0f} GFLOP/s, {rate / large:.2f} of the large product's "
                f"rate, {rate / step:.2f} of the small one's"
            )


def _batch(*, videos, frames, size, units, classes):
    """Videos of a quarter to all of the frames, the padding zero, three labels each."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(videos, frames, size)).astype(np.float32)
    num_frames = rng.integers(frames // 4, frames + 1, videos).astype(np.int32)
    num_frames[0] = frames
    values[np.arange(frames)[None] >= num_frames[:, None]] = 0.0
    labels = np.zeros((videos, classes), np.float32)
    labels[np.arange(videos)[:, None], rng.integers(0, classes, (videos, 3))] = 1.0
    return {"frames": values, "num_frames": num_frames}, labels


def _ours(encoder, *, videos, frames, size, units, classes):
    model = build(
        features={"frames": (size, "float")},
        level="frame",
        num_classes=classes,
        normalization="none",
        encoder=encoder,
        units=units,
        layers=2,
        l2=0.0,
    )
    model.compile("adam", cross_entropy, jit_compile=False)
    return model


def _stock(encoder, *, videos, frames, size, units, classes):
    layer = STOCK[encoder]
    model = keras.Sequential(
        [
            keras.Input((None, size)),
            keras.layers.Masking(),
            keras.layers.Bidirectional(layer(units, return_sequences=True)),
            keras.layers.Bidirectional(layer(units)),
            keras.layers.Dense(classes, activation="sigmoid"),
        ]
    )
    model.compile("adam", cross_entropy, jit_compile=False)
    return model


def _operations(encoder, *, videos, frames, size, units, classes):
    """Floating-point operations of one training step; the formula is at the head of this file."""
    recurrent = 2 * sum(
        2 * videos * frames * GATES[encoder] * units * (each + units) for each in (size, 2 * units)
    )
    return 3 * (recurrent + 2 * videos * 2 * units * classes)


def _product_rate(rows: int, inner: int, columns: int) -> float:
    """GFLOP/s of float32 products of (rows, inner) with (inner, columns), many in one graph."""
    left, right = tf.random.normal((rows, inner)), tf.random.normal((inner, columns))
    repeats = max(1, round(2e9 / (2 * rows * inner * columns)))

    @tf.function(jit_compile=False)
    def products():
        total = tf.zeros((rows, columns))
        for _ in tf.range(repeats):
            # The sum keeps the products in the loop: unused, the graph would drop them.
            total += tf.matmul(left, right)
        return total

    (seconds,) = _in_turns(lambda: products().numpy())
    return repeats * 2 * rows * inner * columns / statistics.median(seconds) / 1e9


def _step_of(model, inputs, labels):
    return lambda: model.train_on_batch(inputs, labels)


def _in_turns(*runs: Callable[[], object]) -> list[list[float]]:
    """Seconds of each run's repeats, taken in turns so that a busy moment hits all of them alike."""
    seconds = [[] for _ in runs]
    for turn in range(REPEATS + 2):
        for run, each in zip(runs, seconds, strict=True):
            start = time.perf_counter()
            run()
            if turn >= 2:  # the first ones trace and warm up
                each.append(time.perf_counter() - start)
    return seconds


if __name__ == "__main__":
    main()
