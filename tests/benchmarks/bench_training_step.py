"""A training step of the stacked Bi-LSTM and Bi-GRU, as ratios in one process; prints and asserts nothing.

    python tests/benchmarks/bench_training_step.py

Baselines on the same batch: stock Keras layers (`Masking`, twice `Bidirectional(LSTM or GRU)`, a sigmoid) and, where
torch is installed, two bidirectional layers of `torch.nn`. Forward, backward and update with Adam. Ratios are medians
of the rounds' ratios, a baseline's seconds by ours.
"""

from __future__ import annotations

import importlib.util
from functools import partial

import numpy as np
from common import in_turns, our_step, torch_step

from dmlkit.runtime import quiet_startup

with quiet_startup():
    import keras

from dmlkit.models import cross_entropy

STOCK = {"bi_lstm": keras.layers.LSTM, "bi_gru": keras.layers.GRU}
SIZES = (
    {"videos": 128, "frames": 40, "size": 80, "units": 64, "classes": 24},
    {"videos": 64, "frames": 60, "size": 1152, "units": 256, "classes": 3862},
)


def main() -> None:
    """Print a line for each size and encoder."""
    for sizes in SIZES:
        print(", ".join(f"{count} {name}" for name, count in sizes.items()))
        inputs, labels = batch_of(**sizes)
        for encoder in STOCK:
            settings = {"units": sizes["units"], "attention": False}
            steps = {
                "ours": our_step(encoder, inputs, labels, **settings),
                "stock": partial(stock_of(encoder, **sizes).train_on_batch, inputs["frames"], labels),
            }
            if importlib.util.find_spec("torch"):
                steps["torch"] = torch_step(encoder, inputs["frames"], labels, **settings)
            seconds = in_turns(steps, rounds=7, warm_up=2)
            own = seconds.pop("ours")
            print(f"  {encoder}: ours {np.median(own) * 1e3:.0f} ms", end="")
            for name, each in seconds.items():
                ratio = np.median(each / own)
                print(f"; {name} {np.median(each) * 1e3:.0f} ms, {name} / ours {ratio:.2f}", end="")
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


def stock_of(encoder, *, videos, frames, size, units, classes):
    """The same of stock Keras layers."""
    layers = [
        keras.Input((None, size)),
        keras.layers.Masking(),
        keras.layers.Bidirectional(STOCK[encoder](units, return_sequences=True)),
        keras.layers.Bidirectional(STOCK[encoder](units)),
        keras.layers.Dense(classes, activation="sigmoid"),
    ]
    model = keras.Sequential(layers)
    model.compile("adam", cross_entropy, jit_compile=False)
    return model


if __name__ == "__main__":
    main()
