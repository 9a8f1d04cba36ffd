"""Training at the paper's size on a GPU: videos/s, and what an epoch over YouTube-8M would take; asserts nothing.

    KERAS_BACKEND=torch python tests/benchmarks/bench_gpu.py       (or jax)

Two bidirectional layers of 1,024 units over 300 frames of 1,152 features, attention, 3,862 classes: forward,
backward and update, for each batch size, in float32 and mixed bfloat16. With the torch backend a plain
`torch.nn.LSTM` / `GRU` model of the same shape is measured in the same process, in turns. Inputs are on the device
already: computing is measured, not reading. Without a GPU the script ends with a message; `--cpu` measures anyway.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import os

os.environ.setdefault("KERAS_BACKEND", "torch" if importlib.util.find_spec("torch") else "jax")

import keras
import numpy as np
from common import CLASSES, TRAINING_VIDEOS, in_turns, our_step, torch_step


def main() -> None:
    """Print a line for each cell, precision and batch size."""
    sizes = _arguments()
    backend = keras.backend.backend()
    if not _has_gpu(backend) and not sizes.cpu:
        print(f"There is no GPU that Keras's {backend} backend sees: nothing was measured.")
        return
    print(f"Keras {keras.__version__} on {backend}; {vars(sizes)}")
    for cell, bfloat16 in itertools.product(("bi_lstm", "bi_gru"), (False, True)):
        best = {}
        for videos in sizes.videos:
            setting = f"{cell} {'mixed_bfloat16' if bfloat16 else 'float32'} batch {videos}"
            try:
                rates = _rates(cell, bfloat16, videos, sizes, backend)
            except Exception as error:  # out of memory has another type in each backend
                print(f"{setting}: {type(error).__name__}: {str(error)[:120]}")
                continue
            print(f"{setting}:", ", ".join(f"{name} {rate:,.1f} videos/s" for name, rate in rates.items()))
            best = {name: max(rate, best.get(name, 0)) for name, rate in rates.items()}
        for name, rate in best.items():
            hours = TRAINING_VIDEOS / rate / 3600
            print(f"  best of {name}: {rate:,.1f} videos/s; an epoch over YouTube-8M of 2018: {hours:.2f} h")


def _arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--videos", type=int, nargs="+", default=[64, 128, 256, 512], help="batch sizes")
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--inputs", type=int, default=1152)
    parser.add_argument("--units", type=int, default=1024)
    parser.add_argument("--classes", type=int, default=CLASSES)
    parser.add_argument("--steps", type=int, default=5, help="measured steps, after two to warm up")
    parser.add_argument("--cpu", action="store_true", help="measure where no GPU is, too")
    return parser.parse_args()


def _has_gpu(backend) -> bool:
    if backend == "torch":
        import torch

        return torch.cuda.is_available()
    import jax

    return jax.default_backend() == "gpu"


def _rates(cell, bfloat16, videos, sizes, backend):
    """Name of what was measured → videos/s."""
    rng = np.random.default_rng(0)
    frames = rng.normal(size=(videos, sizes.frames, sizes.inputs)).astype(np.float32)
    inputs = {"frames": frames, "num_frames": np.full(videos, sizes.frames, np.int32)}
    labels = (rng.random((videos, sizes.classes)) < 3 / sizes.classes).astype(np.float32)
    settings = {"units": sizes.units, "attention": True, "bfloat16": bfloat16}
    steps = {f"dmlkit on {backend}": our_step(cell, inputs, labels, **settings)}
    if backend == "torch":
        steps["plain torch.nn"] = torch_step(cell, frames, labels, **settings)
    seconds = in_turns(steps, rounds=sizes.steps, warm_up=2)
    return {name: videos / np.median(each) for name, each in seconds.items()}


if __name__ == "__main__":
    main()
