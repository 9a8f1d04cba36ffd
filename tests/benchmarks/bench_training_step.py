"""A training step of the stacked Bi-LSTM and Bi-GRU, as ratios in one process; prints and asserts nothing.

    python tests/benchmarks/bench_training_step.py

The rivals do the same on the same batch: stock Keras layers as one would write them by hand (`Masking`, twice
`Bidirectional(LSTM or GRU)`, a sigmoid), and, where torch is installed, `torch.nn.LSTM` and `GRU` with two
bidirectional layers. Forward, backward and update with Adam. All take turns, so that a busy moment hits all of them;
ratios are medians of the turns' ratios, a rival's seconds by ours.
"""

from __future__ import annotations

import importlib.util
import statistics
import time
from functools import partial

import numpy as np

from dmlkit.runtime import quiet_startup

with quiet_startup():
    import keras

from dmlkit.models import build, cross_entropy

STOCK = {"bi_lstm": keras.layers.LSTM, "bi_gru": keras.layers.GRU}
SIZES = (
    {"videos": 128, "frames": 40, "size": 80, "units": 64, "classes": 24},
    {"videos": 64, "frames": 60, "size": 1152, "units": 256, "classes": 3862},
)
TURNS, WARM_UP = 7, 2


def main() -> None:
    """Print a line for each size and encoder."""
    for sizes in SIZES:
        print(", ".join(f"{count} {name}" for name, count in sizes.items()))
        inputs, labels = batch_of(**sizes)
        for encoder in STOCK:
            ours, stock = ours_of(encoder, **sizes), stock_of(encoder, **sizes)
            steps = {
                "ours": partial(ours.train_on_batch, inputs, labels),
                "stock": partial(stock.train_on_batch, inputs["frames"], labels),
            }
            if importlib.util.find_spec("torch"):
                steps["torch"] = torch_step(encoder, inputs["frames"], labels, **sizes)
            seconds = in_turns(steps)
            own = seconds.pop("ours")
            print(f"  {encoder}: ours {statistics.median(own) * 1e3:.0f} ms", end="")
            for name, each in seconds.items():
                ratio = statistics.median(theirs / mine for mine, theirs in zip(own, each, strict=True))
                print(f"; {name} {statistics.median(each) * 1e3:.0f} ms, {name} / ours {ratio:.2f}", end="")
            print()


def batch_of(*, videos, frames, size, units, classes):
    """Videos of a quarter to all of the frames, zeros as padding, three labels each."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(videos, frames, size)).astype(np.float32)
    num_frames = rng.integers(frames // 4, frames + 1, videos).astype(np.int32)
    num_frames[0] = frames
    values[np.arange(frames)[None] >= num_frames[:, None]] = 0.0
    labels = np.zeros((videos, classes), np.float32)
    labels[np.arange(videos)[:, None], rng.integers(0, classes, (videos, 3))] = 1.0
    return {"frames": values, "num_frames": num_frames}, labels


def ours_of(encoder, *, videos, frames, size, units, classes):
    """This package's model."""
    model = build(
        features={"frames": (size, "float")}, level="frame", num_classes=classes, normalization="none",
        encoder=encoder, units=units, layers=2, l2=0.0,
    )  # fmt: skip
    model.compile("adam", cross_entropy, jit_compile=False)
    return model


def stock_of(encoder, *, videos, frames, size, units, classes):
    """The same of stock Keras layers."""
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


def torch_step(encoder, values, labels, *, videos, frames, size, units, classes):
    """A step of the same in torch, on all frames: padding costs it as much as frames do."""
    import torch

    kind = {"bi_lstm": torch.nn.LSTM, "bi_gru": torch.nn.GRU}[encoder]
    layers = kind(size, units, num_layers=2, bidirectional=True, batch_first=True)
    classifier = torch.nn.Linear(2 * units, classes)
    optimizer = torch.optim.Adam([*layers.parameters(), *classifier.parameters()])
    values, labels = torch.from_numpy(values), torch.from_numpy(labels)

    def step():
        optimizer.zero_grad()
        states, _ = layers(values)
        logits = classifier(states[:, -1] + states[:, 0])
        torch.nn.functional.binary_cross_entropy_with_logits(logits, labels).backward()
        optimizer.step()

    return step


def in_turns(steps):
    """Name → seconds of each turn after the first ones, which trace and warm up."""
    seconds = {name: [] for name in steps}
    for turn in range(TURNS + WARM_UP):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            if turn >= WARM_UP:
                seconds[name].append(time.perf_counter() - start)
    return seconds


if __name__ == "__main__":
    main()
