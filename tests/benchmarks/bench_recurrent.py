"""Our recurrent layers' training step against stock Keras's and torch's, in turns; prints and asserts nothing.

    python tests/benchmarks/bench_recurrent.py

Each is the same model: two bidirectional layers, a sigmoid for each class on the states' ends, Adam; forward,
backward and update. Torch's `torch.nn.LSTM` and `GRU` (bidirectional, two layers) stand beside them where torch is
installed. A model compiled by XLA is left out unless asked for by `--xla`: it takes a minute to compile.

A ratio is the median over the turns of stock's seconds by the other's; beside it the same of the processor's
seconds, which other programs disturb less. Floating-point operations as in bench_training_step.py.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import time

import numpy as np

from dmlkit.runtime import quiet_startup

with quiet_startup():
    import keras

from dmlkit.models import recurrent
from dmlkit.models.frames import ReverseFrames

CLASSES = 24
SIZES = (
    # videos, frames, inputs, units, turns
    (32, 10, 40, 64, 15),
    (64, 60, 80, 64, 7),
    (64, 60, 1152, 128, 5),
    (64, 30, 1152, 512, 4),
)
LAYERS = {
    "lstm": {"stock": keras.layers.LSTM, "ours": recurrent.LSTM},
    "gru": {"stock": keras.layers.GRU, "ours": recurrent.GRU},
}
GATES = {"lstm": 4, "gru": 3}


def main() -> None:
    """Print a block for each size and cell."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--xla", action="store_true", help="Keras's models compiled by XLA too")
    arguments.add_argument("--cell", choices=tuple(LAYERS), help="this cell alone")
    arguments.add_argument("--units", type=int, help="the sizes of so many units alone")
    chosen = arguments.parse_args()
    print(f"matrix product: {_product_rate():.0f} GFLOP/s")
    for *sizes, turns in SIZES:
        videos, frames, size, units = sizes
        if chosen.units not in (None, units):
            continue
        for cell in LAYERS if chosen.cell is None else [chosen.cell]:
            print(f"{cell}: {videos} videos, {frames} frames, {size} inputs, {units} units")
            steps = {name: _keras_step(layer, *sizes) for name, layer in LAYERS[cell].items()}
            if chosen.xla:
                steps |= {
                    f"{name}, XLA": _keras_step(layer, *sizes, xla=True)
                    for name, layer in LAYERS[cell].items()
                }
            if importlib.util.find_spec("torch"):
                steps["torch"] = _torch_step(cell, *sizes)
            _print_turns(steps, turns, videos=videos, operations=_operations(cell, *sizes))


def _print_turns(steps, turns, *, videos, operations):
    seconds = {name: [] for name in steps}
    processor = {name: [] for name in steps}
    for turn in range(turns + 1):
        for name, step in steps.items():
            since, used = time.perf_counter(), time.process_time()
            step()
            if turn:  # the first one traces
                seconds[name].append(time.perf_counter() - since)
                processor[name].append(time.process_time() - used)
    for name in steps:
        wall, used = (
            statistics.median(stock / each for stock, each in zip(times["stock"], times[name], strict=True))
            for times in (seconds, processor)
        )
        median = statistics.median(seconds[name])
        print(
            f"  {name:11} {median * 1e3:7.1f} ms, {videos / median:6.0f} videos/s, "
            f"{operations / median / 1e9:4.0f} GFLOP/s; stock's time / its {wall:.2f} ({used:.2f} of the processor)"
        )


def _batch(videos, frames, size):
    rng = np.random.default_rng(0)
    values = rng.normal(size=(videos, frames, size)).astype(np.float32)
    return values, (rng.random((videos, CLASSES)) < 0.1).astype(np.float32)


def _keras_step(layer, videos, frames, size, units, *, xla=False):
    states = inputs = keras.Input((None, size))
    num_frames = keras.Input((), dtype="int32")
    reverse = ReverseFrames()
    for _ in range(2):
        forward = layer(units, return_sequences=True)(states)
        backward = layer(units, return_sequences=True)(reverse(states, num_frames))
        states = keras.layers.Concatenate()([forward, reverse(backward, num_frames)])
    scores = keras.layers.Dense(CLASSES, activation="sigmoid")(states[:, -1] + states[:, 0])
    model = keras.Model([inputs, num_frames], scores)
    model.compile("adam", "binary_crossentropy", jit_compile=xla)
    values, labels = _batch(videos, frames, size)
    lengths = np.full(videos, frames, np.int32)
    return lambda: model.train_on_batch([values, lengths], labels)


def _torch_step(cell, videos, frames, size, units):
    import torch

    kind = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[cell]
    layers = kind(size, units, num_layers=2, bidirectional=True, batch_first=True)
    classifier = torch.nn.Linear(2 * units, CLASSES)
    optimizer = torch.optim.Adam([*layers.parameters(), *classifier.parameters()])
    values, labels = map(torch.from_numpy, _batch(videos, frames, size))

    def step():
        optimizer.zero_grad()
        states, _ = layers(values)
        logits = classifier(states[:, -1] + states[:, 0])
        torch.nn.functional.binary_cross_entropy_with_logits(logits, labels).backward()
        optimizer.step()

    return step


def _operations(cell, videos, frames, size, units):
    forward = sum(
        2 * 2 * videos * frames * GATES[cell] * units * (each + units) for each in (size, 2 * units)
    )
    return 3 * (forward + 2 * videos * 2 * units * CLASSES)


def _product_rate(size: int = 1024) -> float:
    """GFLOP/s of the best of a few float32 products by numpy."""
    left = np.random.default_rng(0).normal(size=(size, size)).astype(np.float32)
    best = min(_seconds(lambda: left @ left) for _ in range(10))
    return 2 * size**3 / best / 1e9


def _seconds(run) -> float:
    since = time.perf_counter()
    run()
    return time.perf_counter() - since


if __name__ == "__main__":
    main()
