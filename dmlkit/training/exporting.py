"""Runs as models for programs without dmlkit.

    format       file           opened by              takes
    saved-model  1/             TensorFlow (Serving)   videos of any number, frames of any number
    onnx         model.onnx     onnxruntime            the same
    litert       model.tflite   LiteRT                 one video, frames of any number
    mediapipe    saved_model/   MediaPipe              what its YouTube-8M graph gives: `rgb_and_audio`, `num_frames`

An ensemble by weighted mean is one model. What a run does to its inputs is part of the model: bytes are dequantised,
and frames beyond those that the run reads are ignored. No model appears that does not score as its run: it is opened
again, by its own runtime, and compared on videos of different lengths.
"""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from dmlkit.data import OneBatch, dequantize
from dmlkit.data.schema import OFFSET, SCALE
from dmlkit.data.storage import new_folder
from dmlkit.errors import UsageError, choose, one_line, readable, shorten
from dmlkit.metrics import weighted_average
from dmlkit.runs import Run, as_run
from dmlkit.runtime import quiet_startup, versions
from dmlkit.training.ensembles import RunOrPath
from dmlkit.training.prediction import Member, members_and_data, members_of, scorer

LARGEST = 1e-5  # difference of a score from the run's
MEDIAPIPE = {"rgb": 1024, "audio": 128}  # the parts of `rgb_and_audio`, in this order
Scores = Callable[[Mapping[str, np.ndarray]], np.ndarray]


@dataclass(frozen=True)
class Export:
    """An exported model, in the folder `path` with `class_names.csv`, `model_card.md` and, as `export.json`, this.

    `difference` is the largest absolute one of a score from the run's, of so many `videos`, the shortest and longest of
    so many `frames`; `compared_on` is the name of their data set, or a note that they were random values.
    """

    path: Path
    format: str
    difference: float
    videos: int
    frames: tuple[int, int] | None
    compared_on: str

    def __str__(self) -> str:
        frames = " of {} to {} frames".format(*self.frames) if self.frames else ""
        return (
            f"Largest absolute difference from the run's scores: {self.difference:.1e} (at most {LARGEST:.0e}), on "
            f"{self.videos:,} videos{frames}, {self.compared_on}."
        )


class Format(NamedTuple):
    """How a format is written to a file of that name, and opened again, as a function from inputs to scores.

    `at_once` is how many videos a model takes, None for any number; `packages` come with the `extra` of dmlkit.
    """

    file: str
    write: Callable[[keras.Model, Path, int | None], None]
    open: Callable[[Path], Scores]
    at_once: int | None = None
    packages: tuple[str, ...] = ()
    extra: str = ""


def export(run: RunOrPath, to: str | os.PathLike, *, format: str, data=None, videos: int = 100) -> Export:
    """Write a run's model in the format of another program, in a new folder, if its scores are those of the run.

    Scores are compared on a CPU, before they are rounded to half precision, in which runs store them.

    Args:
        run: A run, or its folder; an ensemble by weighted mean becomes one model.
        to: The folder, which appears whole or not at all.
        format: A name of `FORMATS`.
        data: A data set, or the path of one, on whose validation split (or first one, where there is none) scores are
            compared; random values where None, as a run does not record where its data lie.
        videos: The most videos that are compared.

    Raises:
        UsageError: A package is missing, the run cannot be exported in this format, a score differs by more than 1e-5,
            or the folder is there already.
    """
    form, run, out = choose(FORMATS, format, what="format"), as_run(run), Path(to)
    if missing := [package for package in form.packages if find_spec(package) is None]:
        install = f"pip install 'dmlkit[{form.extra}]'"
        raise UsageError(f"The format {format} needs {', '.join(missing)}, not installed here: {install}.")
    if keras.backend.backend() != "tensorflow":
        raise UsageError("Models are exported by TensorFlow alone. Set KERAS_BACKEND=tensorflow.")
    if os.path.lexists(out) or videos < 1:
        raise UsageError(f"An export takes a new folder and at least one video. Received: {out}, {videos=}.")
    members, trained_on = members_of(run), run.record["data"]
    _check(members, format)
    random = OneBatch(_random_batch(trained_on, videos), trained_on) if data is None else data
    members, dataset, matches = members_and_data(run, random, None)
    with new_folder(out) as folder, tf.device("CPU:0"):
        models = [_load(member.run, number) for number, member in enumerate(members, start=1)]
        compared = [*_comparisons(members, models, dataset, matches, videos)]
        try:
            with quiet_startup(), _readable_loops():
                model = _one_model(members, models)
                form.write(model, folder / form.file, form.at_once)
                scores = form.open(folder / form.file)
                difference = max(_differences(scores, compared, form.at_once))
        except Exception as error:  # of several converters and runtimes
            what = f"{type(error).__name__}: {shorten(error, 400)}"
            raise UsageError(f"{run.path} cannot be exported as {format} ({what}). {OTHERS}") from error
        if not difference <= LARGEST:
            raise UsageError(
                f"The model of {run.path} as {format} gives other scores: they differ by up to {difference:.1e}, and "
                f"{LARGEST:.0e} is allowed. Nothing was written. {OTHERS}"
            )
        lengths = [n for inputs, _ in compared for n in inputs.get("num_frames", ())]
        frames = (int(min(lengths)), int(max(lengths))) if lengths else None
        on = "random values instead of data" if data is None else one_line(dataset.name)
        done = Export(out, format, difference, sum(len(scores) for _, scores in compared), frames, on)
        _describe(done, run, members, model, folder)
    return done


def _check(members: Sequence[Member], format: str) -> None:
    """Raise `UsageError` for what no model of this format could do."""
    for member in members:
        path, reads, profile = member.run.path, member.run.record["data"], member.run.record["profile"]
        if member.below:
            raise UsageError(
                f"{path} combines its members by {member.by!r}, and only a weighted mean becomes one model. Export the "
                "members, or an ensemble by algorithm_2, uniform or optimized."
            )
        if reads["level"] == "frame" and profile["max_frames"] and profile["frame_choice"] != "first":
            raise UsageError(
                f"{path} was trained with frame_choice={profile['frame_choice']}, and of a longer video an exported "
                "model can only read the first frames. Train a run with frame_choice=first."
            )
        sizes = {name: each["size"] for name, each in reads["features"].items()}

        def listed(sizes: Mapping[str, int]) -> str:
            return ", ".join(f"{name} {size:,}" for name, size in sizes.items())

        if format == "mediapipe" and (sizes != MEDIAPIPE or reads["level"] != "frame"):
            raise UsageError(
                f"MediaPipe's graph gives frames of {listed(MEDIAPIPE)} values, as YouTube-8M has them, and {path} "
                f"reads {listed(sizes)} at {reads['level']} level. {OTHERS}"
            )


def _random_batch(trained_on: Mapping, videos: int) -> dict[str, np.ndarray]:
    """Videos of random values, as a run reads them, of up to 330 frames."""
    random, in_frames = np.random.default_rng(0), trained_on["level"] == "frame"
    batch = {"num_frames": random.integers(1, 331, videos, np.int32)} if in_frames else {}
    for name, each in trained_on["features"].items():
        frames = (330,) if in_frames and each["coding"] != "text" else ()
        shape, about = (videos, *frames, each["size"]), (each.get("mean", 0), each.get("deviation", 1))
        is_byte = each["coding"] == "byte"
        batch[name] = random.integers(0, 256, shape, np.uint8) if is_byte else random.normal(*about, shape)
    return batch


def _load(run: Run, number: int) -> keras.Model:
    """A run's model for the CPU, under a name of its own, loaded again: `run.model` stays as it is."""
    model = Run(run.path, run.record).model
    model.name = f"member_{number}"
    for layer in model._flatten_layers():
        if hasattr(layer, "use_cudnn"):
            layer.use_cudnn = False
    return model


def _one_model(members: Sequence[Member], models: Sequence[keras.Model]) -> keras.Model:
    """The weighted mean of the members' models, each of the frames that its run reads, as {"scores": ...}."""
    inputs, total = {}, 0
    for member, model in zip(members, models, strict=True):
        for each in model.inputs:
            inputs.setdefault(each.name, keras.Input(each.shape[1:], dtype=each.dtype, name=each.name))
        own = {each.name: inputs[each.name] for each in model.inputs}
        if "num_frames" in own and (most := member.run.record["profile"]["max_frames"]):
            own = {name: each[:, :most] if len(each.shape) == 3 else each for name, each in own.items()}
            own["num_frames"] = keras.ops.minimum(own["num_frames"], most)
        total = model(own) * member.weight + total
    return keras.Model(inputs, {"scores": total}, name="run")


@contextmanager
def _readable_loops() -> Iterator[None]:
    """Trace `keras.ops.scan` as a loop that tf2onnx can read, and LiteRT without operations of TensorFlow.

    Keras carries the state of its loop in arrays of length 1, which neither of them can.
    """
    keras_scan = keras.ops.scan

    def scan(f, init, xs=None, length=None, reverse=False, unroll=1):
        if not tf.is_tensor(xs) or length is not None or reverse:
            return keras_scan(f, init, xs, length, reverse, unroll)
        steps, pack = tf.shape(xs)[0], partial(keras.tree.pack_sequence_as, init)
        carried = keras.tree.flatten(init)
        arrays = [tf.TensorArray(each.dtype, steps, element_shape=each.shape) for each in carried]

        def step(i, carried, arrays):
            carried, outputs = map(keras.tree.flatten, f(pack(carried), xs[i]))
            return i + 1, carried, [array.write(i, each) for array, each in zip(arrays, outputs, strict=True)]

        _, carried, arrays = tf.while_loop(lambda i, *_: i < steps, step, (0, carried, arrays))
        return pack(carried), pack([array.stack() for array in arrays])

    keras.ops.scan = scan
    try:
        yield
    finally:
        keras.ops.scan = keras_scan


def _comparisons(members, models, dataset, matches, videos: int) -> Iterator[tuple[dict, np.ndarray]]:
    """Whole videos, some at a time, as inputs for all members, and the run's scores of them (videos, classes)."""
    splits = getattr(dataset, "splits", ("validate",))
    split = "validate" if "validate" in splits else min(splits)
    longest = [member.run.record["profile"]["max_frames"] for member in members]
    settings = {"batch_size": 32, "max_videos": videos, "frame_choice": "first"}
    readings = {most: dataset.batches(split, max_frames=most, **settings) for most in {None, *longest}}
    scorers = [scorer(*each) for each in zip(models, matches, strict=True)]
    for batches in zip(*readings.values(), strict=True):
        batch = dict(zip(readings, batches, strict=True))
        inputs = {}
        for model, matched in zip(models, matches, strict=True):
            whole = matched.inputs(batch[None])
            inputs |= {each.name: whole[each.name].astype(each.dtype) for each in model.inputs}
        scores = (score(batch[most]) for score, most in zip(scorers, longest, strict=True))
        yield inputs, weighted_average(scores, [member.weight for member in members])


def _differences(scores: Scores, compared: Sequence[tuple], at_once: int | None) -> Iterator[float]:
    """The largest difference of some videos' scores from those expected, infinite where one is no number.

    Each video is followed by noise, for three frames at least: a model must not read it.
    """
    for inputs, expected in compared:
        changed = dict(inputs)
        for name, values in inputs.items():
            if values.ndim == 3:
                changed[name] = values = np.pad(values, ((0, 0), (0, 3), (0, 0)))
                values[np.arange(values.shape[1]) >= inputs["num_frames"][:, None]] = 200
        for start in range(0, len(expected), at_once or len(expected)):
            rows = slice(start, start + (at_once or len(expected)))
            found = scores({name: each[rows] for name, each in changed.items()})
            yield float(np.nan_to_num(np.abs(found - expected[rows]), nan=np.inf).max())


# The formats.


def _write(model: keras.Model, file: Path, at_once: int | None, *, to: str) -> None:
    inputs = {
        each.name: tf.TensorSpec((at_once, *each.shape[1:]), each.dtype, each.name) for each in model.inputs
    }
    model.export(file, format=to, verbose=False, input_signature=[inputs])


def _write_onnx(model: keras.Model, file: Path, at_once: int | None) -> None:
    import onnx

    _write(model, file, at_once, to="onnx")
    written = onnx.load(file)
    for each in (*written.graph.input, *written.graph.output):  # whose axes tf2onnx numbers
        for axis, name in zip(each.type.tensor_type.shape.dim, ("videos", "frames"), strict=False):
            axis.dim_param = name if axis.dim_param else ""
    onnx.save(written, file)


def _write_mediapipe(model: keras.Model, file: Path, at_once: int | None) -> None:
    """Its graph gives numbers; those that the run read as bytes are coded as in training.

    Differs from the starter code's export (num_frames (batch, 1), which MediaPipe gives): (batch,) is taken, too.
    """

    def serve(rgb_and_audio, num_frames):
        checked = tf.debugging.check_numerics(rgb_and_audio, "rgb_and_audio must be finite")
        inputs = {"num_frames": tf.broadcast_to(tf.reshape(num_frames, [-1]), tf.shape(checked)[:1])}
        for name, part in zip(MEDIAPIPE, tf.split(checked, [*MEDIAPIPE.values()], axis=-1), strict=True):
            coded = tf.clip_by_value(tf.round((part - OFFSET) / SCALE), 0, 255)
            inputs[name] = tf.cast(coded, tf.uint8) if model.input[name].dtype == "uint8" else part
        return {"predictions": model(inputs, training=False)["scores"]}

    both = tf.TensorSpec((None, None, sum(MEDIAPIPE.values())), tf.float32, "rgb_and_audio")
    archive = keras.export.ExportArchive()  # with it, TensorFlow 1's sessions find the weights, too
    archive.track(model)
    archive.add_endpoint("serving_default", serve, [both, tf.TensorSpec(None, tf.int32, "num_frames")])
    archive.write_out(file, verbose=False)


def _open_saved_model(file: Path) -> Scores:
    loaded = tf.saved_model.load(str(file))

    def scores(inputs):
        (found,) = loaded.signatures["serving_default"](
            **{k: tf.constant(v) for k, v in inputs.items()}
        ).values()
        return found.numpy()

    return scores


def _open_mediapipe(file: Path) -> Scores:
    serve = _open_saved_model(file)

    def scores(inputs):
        parts = [inputs[name] for name in MEDIAPIPE]
        parts = [dequantize(each) if each.dtype == np.uint8 else each for each in parts]
        return serve(
            {"rgb_and_audio": np.concatenate(parts, -1), "num_frames": inputs["num_frames"][:, None]}
        )

    return scores


def _open_onnx(file: Path) -> Scores:
    import onnxruntime

    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    return lambda inputs: session.run(["scores"], dict(inputs))[0]


def _open_litert(file: Path) -> Scores:
    from ai_edge_litert.interpreter import Interpreter

    run = Interpreter(str(file)).get_signature_runner()
    return lambda inputs: run(**inputs)["scores"]


_ONNX, _LITERT = ("tf2onnx", "onnx", "onnxruntime"), ("ai_edge_litert",)
FORMATS = {
    "saved-model": Format("1", partial(_write, to="tf_saved_model"), _open_saved_model),
    "onnx": Format("model.onnx", _write_onnx, _open_onnx, None, _ONNX, "onnx"),
    "litert": Format("model.tflite", partial(_write, to="litert"), _open_litert, 1, _LITERT, "litert"),
    "mediapipe": Format("saved_model", _write_mediapipe, _open_mediapipe),
}
OTHERS = f"The formats are {', '.join(FORMATS)}."


def _describe(done: Export, run: Run, members: Sequence[Member], model: keras.Model, folder: Path) -> None:
    """Write class names, the record of the export, and its model card."""
    data, batch = run.record["data"], FORMATS[done.format].at_once or "videos"
    names = readable(data["class_names"] or [""] * data["num_classes"])
    with open(folder / "class_names.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("class", "name"), *enumerate(names)])
    arrays = {
        each.name: (each.dtype, [batch, *(n or "frames" for n in each.shape[1:])]) for each in model.inputs
    }
    scores = ("float32", [batch, len(names)])
    if done.format == "mediapipe":
        both = ("float32", [batch, "frames", sum(MEDIAPIPE.values())])
        arrays = {"rgb_and_audio": both, "num_frames": arrays["num_frames"], "predictions": scores}
        (folder / "label_map.txt").write_text(
            "\n".join(names) + "\n", encoding="utf-8"
        )  # as its graph reads it
    else:
        arrays["scores"] = scores
    record = asdict(done) | {"path": FORMATS[done.format].file, "arrays": arrays, "versions": versions()}
    record |= {"run": {"name": run.name, "fingerprint": run.record["fingerprint"]}}
    (folder / "export.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    settings = {"undefined": StrictUndefined, "trim_blocks": True, "lstrip_blocks": True, "finalize": _plain}
    cards = Environment(loader=FileSystemLoader(Path(__file__).parent), **settings)
    about = {"done": done, "arrays": arrays, "run": run, "data": data, "members": members, "names": names}
    (folder / "model_card.md").write_text(
        cards.get_template("model_card.md").render(**about), encoding="utf-8"
    )


def _plain(value: object) -> object:
    """A text on one line, which Markdown, and HTML in it, show letter by letter; numbers as they are."""
    special = r"[^\w ,.:%()+-]|_|(?<=[^\W\d])\."
    return (
        re.sub(special, lambda found: f"&#{ord(found[0])};", one_line(value))
        if isinstance(value, str)
        else value
    )
