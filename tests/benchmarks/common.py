"""What benchmarks share: timing in turns, a training step in plain torch, the sizes of YouTube-8M."""

import time
from collections.abc import Callable

import numpy as np

CLASSES, SIZES = 3862, {"rgb": 1024, "audio": 128}
TRAINING_VIDEOS = 3_888_919  # of the release of 2018, the one that can be downloaded


def in_turns(functions: dict[str, Callable], rounds: int, warm_up: int = 0) -> dict[str, np.ndarray]:
    """Name → seconds of each round after the first `warm_up` ones; all are called in every round, so that a busy moment
    slows all of them.
    """
    seconds = {name: [] for name in functions}
    for turn in range(-warm_up, rounds):
        for name, function in functions.items():
            begin = time.perf_counter()
            function()
            if turn >= 0:
                seconds[name].append(time.perf_counter() - begin)
    return {name: np.array(each) for name, each in seconds.items()}


def our_step(
    cell: str, inputs: dict, labels, *, units: int, attention: bool, bfloat16: bool = False
) -> Callable:
    """A step of two bidirectional layers of this package, on inputs that are on the device already."""
    import keras

    from dmlkit.models import build, cross_entropy

    model = build(
        features={"frames": (inputs["frames"].shape[2], "float")},
        level="frame",
        num_classes=labels.shape[1],
        normalization="none",
        encoder=cell,
        units=units,
        layers=2,
        pooling="attention" if attention else "last",
        l2=0.0,
        precision="mixed_bfloat16" if bfloat16 else "float32",
    )
    # Keras compiles JAX anyway; the others go without, as the baselines do.
    model.compile("adam", cross_entropy, jit_compile="auto" if keras.backend.backend() == "jax" else False)
    inputs = {name: keras.ops.convert_to_tensor(each) for name, each in inputs.items()}
    labels = keras.ops.convert_to_tensor(labels)
    # The loss is returned as a number, so the step is over when it returns.
    return lambda: float(model.train_on_batch(inputs, labels))


def torch_step(cell: str, frames, labels, *, units: int, attention: bool, bfloat16: bool = False) -> Callable:
    """The same of `torch.nn`, on all frames: padding costs it as much as frames do."""
    import torch
    from torch.nn import functional

    device = "cuda" if torch.cuda.is_available() else "cpu"
    recurrent = {"bi_lstm": torch.nn.LSTM, "bi_gru": torch.nn.GRU}[cell]
    layers = recurrent(frames.shape[2], units, num_layers=2, bidirectional=True, batch_first=True)
    width, classes = 2 * units, labels.shape[1]
    scorer = torch.nn.Sequential(
        torch.nn.Linear(width, width), torch.nn.Tanh(), torch.nn.Linear(width, 1, bias=False)
    )
    model = torch.nn.ModuleDict(
        {"layers": layers, "scorer": scorer, "classifier": torch.nn.Linear(width, classes)}
    ).to(device)
    optimizer = torch.optim.Adam(model.parameters())
    frames, labels = torch.from_numpy(frames).to(device), torch.from_numpy(labels).to(device)

    def step() -> float:
        optimizer.zero_grad()
        with torch.autocast(device, torch.bfloat16, enabled=bfloat16):
            states, _ = model["layers"](frames)
            pooled = states[:, -1] + states[:, 0]
            if attention:
                weights = torch.softmax(model["scorer"](states).float(), dim=1)
                pooled = (weights.to(states.dtype) * states).sum(1)
            logits = model["classifier"](pooled)
        loss = functional.binary_cross_entropy_with_logits(logits.float(), labels) * classes
        loss.backward()
        optimizer.step()
        if device == "cuda":
            torch.cuda.synchronize()
        return loss.item()

    return step
