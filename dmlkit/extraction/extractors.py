"""Extractors: what makes features of the pictures and the sound of a clip, and the recipe that records which and how.

    classic              descriptors without learned weights (`descriptors`): a baseline that needs nothing
    MobileNetV3Small     and every other class of keras.applications: its layers below the classifier, averaged over
                         the picture, for pictures as its `preprocess_input` wants them
    FILE                 a model of your own: FILE.keras, a folder with a SavedModel, FILE.onnx. Of pictures
                         (n, size, size, 3), scaled as declared, or of sound, (n, samples) in [-1, 1] at 16 kHz, it
                         gives (n, values)

A picture is squeezed into a model's square, so that nothing of it is cut off.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import numpy as np
from PIL import Image, ImageOps
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from dmlkit.data.schema import FRAMES_APART, quantize
from dmlkit.errors import DataError, UsageError, choose, shorten
from dmlkit.extraction.decoding import probe, read_pictures, read_sound
from dmlkit.extraction.descriptors import picture_descriptor, sound_descriptor
from dmlkit.files import read_arrays
from dmlkit.runtime import quiet_startup

Measure = Callable[[np.ndarray], np.ndarray]  # a batch of pictures, or of windows of sound → (n, size)
Arrays = Mapping[str, np.ndarray]
RATE = 16_000  # samples a second of the sound
PICTURES: dict[str, Measure] = {"classic": picture_descriptor}
SOUNDS: dict[str, Measure] = {"classic": partial(sound_descriptor, rate=RATE)}
# Pixels a side for which a class of keras.applications was trained, where not 224.
SIZES = {"inceptionv3": 299, "inceptionresnetv2": 299, "xception": 299, "nasnetlarge": 331}
SIZES |= {f"efficientnetb{k}": size for k, size in enumerate((224, 240, 260, 300, 380, 456, 528, 600))}
SIZES |= {"efficientnetv2b1": 240, "efficientnetv2b2": 260, "efficientnetv2b3": 300}
SIZES |= {"efficientnetv2s": 384, "efficientnetv2m": 480, "efficientnetv2l": 480}
# How a model file wants its pixels: values from 0 to 255 → its own.
SCALES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "0..255": lambda pixels: pixels,
    "0..1": lambda pixels: pixels / 255,
    "-1..1": lambda pixels: pixels / 127.5 - 1,
    "imagenet": lambda pixels: (pixels / 255 - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225),
}
BATCH = 32  # pictures or windows that are in memory
MOST_FRAMES = 100_000  # of a clip: a day at one a second
TILE = TILE_WIDTH, TILE_HEIGHT, COLUMNS = 80, 45, 20
MOST_TILES = 16_383 // TILE_HEIGHT * COLUMNS  # pixels a side that WEBP can have: two hours at one a second
NOUNS = {"rgb": "pictures", "audio": "sound"}

Name = Annotated[str | None, BeforeValidator(lambda given: None if given == "none" else given)]


class Recipe(BaseModel):
    """How features are made of a clip: the table ``[extractor]`` of dataset.toml, and an entry of a run's record.

    With ``"none"`` in a table for no pictures or no sound.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
    fps: Annotated[float, Field(gt=0, le=100)] = 1.0  # frames a second, of pictures and of sound
    pictures: Name = "classic"  # the modality rgb: of `PICTURES`, a class of keras.applications, or a file
    sound: Name = "classic"  # the modality audio: of `SOUNDS`, or a file
    weights: str | None = None  # of a class of keras.applications: "imagenet", a file, or "none": random
    size: Annotated[int, Field(ge=8, le=2048)] | None = None  # pixels a side of a model's pictures
    scale: Literal[tuple(SCALES)] | None = None  # the values of a model file's pixels
    digest: str | None = None  # SHA-256 of the file that is the pictures' model, or has its weights
    sound_digest: str | None = None  # SHA-256 of the file that is the sound's model
    projection: str | None = None  # file in the folder of dataset.toml with a PCA (`fit_projection`)
    projection_digest: str | None = None
    coding: Literal["byte", "float"] = "byte"
    version: Literal[1] = 1  # of what dmlkit itself computes

    @classmethod
    def of(cls, fields: Mapping[str, object], *, error: type[Exception] = UsageError) -> Recipe:
        """The recipe of these fields; a problem with one is raised as an `error` of one paragraph."""
        try:
            return cls(**fields)
        except ValidationError as invalid:
            first = invalid.errors()[0]
            name, received = ".".join(map(str, first["loc"])), shorten(repr(first["input"]))
            raise error(f"The extractor's recipe, {name}: {first['msg']}. Received: {received}.") from None

    def table(self) -> dict[str, str | int | float]:
        """The entries of ``[extractor]``, of which `Recipe.of` makes this recipe again."""
        return {"pictures": "none", "sound": "none"} | self.model_dump(exclude_none=True)

    def resolved(self) -> Recipe:
        """The same recipe with what it leaves to defaults, and the paths and digests of the files it names.

        Raises `UsageError` for what does not go together, `DataError` for a file that is not there.
        """
        if self.pictures is None and self.sound is None:
            raise UsageError("Pictures and sound are both none, which leaves nothing to extract.")
        if self.digest or self.sound_digest:  # as recorded, perhaps on another machine
            return self
        changes, taken = {}, set()
        if is_file(self.sound):
            changes |= {"sound": os.path.abspath(self.sound), "sound_digest": digest_of(Path(self.sound))}
        elif self.sound:
            choose(SOUNDS, self.sound, what="extractor of sound")
        if is_file(self.pictures):
            taken = {"size", "scale"}
            choose(SCALES, self.scale or "none", what="scale of the model's pixels")
            changes |= {"pictures": os.path.abspath(self.pictures), "digest": digest_of(Path(self.pictures))}
        elif self.pictures not in (None, *PICTURES):
            taken = {"size", "weights"}
            name, weights = _plain(self.pictures), self.weights or "imagenet"
            changes |= {"pictures": name, "weights": weights, "size": self.size or SIZES.get(name, 224)}
            if weights not in ("imagenet", "none"):
                if name.startswith("efficientnetb"):  # Keras rescales with "imagenet" only
                    what = "has a layer with Keras's ImageNet weights that it lacks with a file of them"
                    raise UsageError(f"{self.pictures} {what}. Save it whole (FILE.keras, scale 0..255).")
                changes |= {"weights": os.path.abspath(weights), "digest": digest_of(Path(weights))}
        for name in sorted({"weights", "size", "scale"} - taken):
            if getattr(self, name):
                raise UsageError(f"The extractor {self.pictures} takes no `{name}`.")
        return self.model_copy(update=changes)


class Extracted(NamedTuple):
    """What was made of a clip: modality → (frames, size), equally many of each; a WEBP of `tile`s, a frame each."""

    features: dict[str, np.ndarray]
    seconds: float
    thumbnails: bytes | None
    tile: tuple[int, int, int] = TILE


class Extractor:
    """The extractors of a recipe, opened once; its projection, and files of it that have moved, are in `folder`.

    Raises:
        UsageError: A name that no extractor has, or a package that is not installed.
        DataError: A file is missing, damaged or not the one that the recipe was recorded with.
    """

    def __init__(self, recipe: Recipe, folder: str | os.PathLike | None = None):
        self.recipe = recipe = recipe.resolved()
        folder = Path(folder or ".")
        self._measures, self._most, self.projection = {}, 360, {}
        if (name := recipe.pictures) is not None:
            self._measures["rgb"] = PICTURES.get(name) or self._picture_model(folder)
        if (name := recipe.sound) is not None:
            self._measures["audio"] = (
                SOUNDS.get(name) or _open_model(located(name, recipe.sound_digest, folder))[0]
            )
        if name := recipe.projection:
            self.projection = read_arrays(located(name, recipe.projection_digest, folder))

    def extract(self, path: str | os.PathLike, *, missing: str = "refuse") -> Extracted:
        """The features of a clip as records hold them, projected and coded: uint8 or float32; raises as `measure`."""
        found = self.measure(path, missing=missing)
        features = project(found.features, self.projection)
        code = quantize if self.recipe.coding == "byte" else np.asarray
        return found._replace(features={name: code(array) for name, array in features.items()})

    def measure(self, path: str | os.PathLike, *, missing: str = "refuse") -> Extracted:
        """The features of a clip (float32) before a projection.

        Args:
            path: A video or audio file.
            missing: What to do where a clip has no pictures, or no sound: ``"refuse"``, or leave that modality out
                (``"silence"``), as which it is then read.

        Raises:
            DataError: The file is broken, too short or too long, or lacks what the recipe wants.
        """
        media = probe(path)
        has = {"rgb": media.has_pictures, "audio": media.has_sound}
        names = [name for name in self._measures if has[name]]
        if len(names) < len(self._measures) and (missing != "silence" or not names):
            lacking = " and no ".join(NOUNS[name] for name in self._measures if not has[name])
            advice = "Leave it out, extract without them (`none`), or read them as silence (`missing`)."
            raise DataError(f"{path} has no {lacking}. {advice}")
        features, tiles, fps = {}, [], self.recipe.fps
        for name in names:
            if name == "rgb":
                stream = read_pictures(path, fps=fps, most=self._most)
            else:
                stream = read_sound(path, fps=fps, rate=RATE)
            stream, rows = islice(stream, MOST_FRAMES + 1), [np.empty((0, 0), np.float32)]
            while batch := [*islice(stream, BATCH)]:
                rows.append(_checked(self._measures[name](np.stack(batch)), len(batch), path))
                if name == "rgb":
                    tiles += map(_tile, batch[: MOST_TILES - len(tiles)])
            features[name] = np.concatenate(rows[1:] or rows)
        shortest, longest = (end(map(len, features.values())) for end in (min, max))
        if longest > MOST_FRAMES or not shortest:
            what = f"takes more than {MOST_FRAMES:,} frames" if longest else "is too short for a frame"
            raise DataError(f"{path} {what} at {fps:g} a second. Change `fps`, cut it, or leave it out.")
        if longest - shortest > FRAMES_APART * max(1, fps):
            lengths = " and ".join(f"{len(each) / fps:,.0f} s of {NOUNS[n]}" for n, each in features.items())
            raise DataError(f"{path} has {lengths}. Cut them alike, or take one of them alone.")
        features = {name: array[:shortest] for name, array in features.items()}
        sheet = None
        if tiles and shortest <= MOST_TILES:
            pictures = enumerate(map(Image.fromarray, tiles[:shortest]))
            # By the fastest method, with the least memory.
            sheet = webp_of_tiles(
                pictures, shortest, size=(TILE_WIDTH, TILE_HEIGHT), columns=COLUMNS, method=0
            )
        return Extracted(features, media.seconds, sheet)

    def _picture_model(self, folder: Path) -> Measure:
        """A model of pictures, with what it wants of them."""
        recipe, first = self.recipe, False
        if is_file(recipe.pictures):
            run, shape = _open_model(located(recipe.pictures, recipe.digest, folder))
            first = len(shape) == 4 and shape[1] == 3 and shape[3] != 3  # channels first
            size, scale = recipe.size or (shape[2] if len(shape) == 4 else None), SCALES[recipe.scale]
            if not isinstance(size, int):
                raise UsageError(f"{recipe.pictures} does not fix its pictures' size. Declare it (`size`).")
        else:
            (run, scale), size = _open_backbone(recipe, folder), recipe.size
        self._most = max(self._most, size)

        def measure(pictures: np.ndarray) -> np.ndarray:
            sized = [Image.fromarray(each).resize((size, size), Image.BILINEAR) for each in pictures]
            pixels = np.asarray(scale(np.stack(sized).astype(np.float32)), np.float32)
            return run(pixels.transpose(0, 3, 1, 2) if first else pixels)

        return measure


def project(features: Arrays, projection: Arrays) -> dict[str, np.ndarray]:
    """The features after the PCA of a modality, where there is one: ``(x - mean) @ components``."""
    found = dict(features)
    for name, array in features.items():
        if f"{name}_mean" in projection:
            mean, components = projection[f"{name}_mean"], projection[f"{name}_components"]
            if array.shape[1] != len(mean):
                raise DataError(f"The projection of {name} takes {len(mean)} values, not {array.shape[1]}.")
            found[name] = ((array - mean) @ components).astype(np.float32)
    return found


def is_file(name: str | None) -> bool:
    """Whether the name of an extractor means a file: by its ending, a folder in it, or what it holds."""
    if not name:
        return False
    path = Path(name)
    return path.suffix in (".keras", ".onnx") or len(path.parts) > 1 or (path / "saved_model.pb").is_file()


def digest_of(path: Path) -> str:
    """The SHA-256 of a file, or of the names and contents of the files in a folder."""
    try:
        if not path.is_dir():
            with path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        files = sorted(filter(Path.is_file, path.rglob("*")))
        parts = [f"{file.relative_to(path).as_posix()} {digest_of(file)}" for file in files]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error}). Put it there.") from error


def located(name: str, digest: str | None, folder: Path) -> Path:
    """A file of a recipe, where it was or else in the folder; `DataError` where it is not there, or is another."""
    path = folder / name  # where it was, if the name is a whole path
    path = path if path.exists() else folder / path.name
    if digest and digest_of(path) != digest:
        raise DataError(f"{path} is not the file that the features were extracted by: its SHA-256 differs.")
    return path


def _plain(name: str) -> str:
    return re.sub("[-_ ]", "", name).lower()


def _open_backbone(recipe: Recipe, folder: Path) -> tuple[Measure, Callable]:
    """A class of keras.applications without its classifier, and its pre-processing."""
    with quiet_startup():
        import keras
    known = {_plain(name): name for name in dir(keras.applications) if name[0].isupper()}
    make = getattr(keras.applications, choose(known, recipe.pictures, what="extractor of pictures"))
    options = {"include_top": False, "pooling": "avg", "input_shape": (recipe.size, recipe.size, 3)}
    weights = str(located(recipe.weights, recipe.digest, folder)) if recipe.digest else recipe.weights
    if weights == "none":
        keras.utils.set_random_seed(0)  # the same in every process
    try:
        model = make(weights=None if weights == "none" else weights, **options)
    except Exception as error:  # of Keras, of the network, of HDF5
        save = f"keras.applications.{make.__name__}(include_top=False, pooling='avg').save_weights('FILE.weights.h5')"
        what = f"{make.__name__} for {recipe.size} pixels cannot be had with the weights {weights}"
        advice = f"save them on another machine (`{save}`), and name that file (`--weights FILE.weights.h5`)"
        raise DataError(f"{what} ({shorten(error, 200)}). Without a network, {advice}.") from error
    return model.predict_on_batch, sys.modules[make.__module__].preprocess_input


def _open_model(path: Path) -> tuple[Measure, tuple]:
    """A model file as a function of arrays, and the shape of its input, empty where the file does not show it."""
    try:
        if path.suffix == ".onnx":
            run, shape = _open_onnx(path)
        else:
            with quiet_startup():
                import keras
            if path.is_dir():
                run, shape = keras.layers.TFSMLayer(path, call_endpoint="serving_default"), ()
            else:
                model = keras.saving.load_model(path, compile=False)
                run, shape = model.predict_on_batch, model.input_shape
    except ImportError as error:
        raise UsageError(f"{path} takes onnxruntime: `pip install dmlkit[onnx]`.") from error
    except Exception as error:  # of as many kinds as formats
        what = f"{path} cannot be opened as a model of one input ({shorten(error, 200)})"
        raise DataError(f"{what}. Give a file .keras, .onnx, or a folder with a SavedModel.") from error

    def measure(batch: np.ndarray) -> np.ndarray:
        try:
            outputs = run(batch)
            outputs = [*outputs.values()] if isinstance(outputs, dict) else outputs
            (values,) = outputs if isinstance(outputs, list | tuple) else [outputs]
            return np.asarray(values)
        except Exception as error:
            what = f"{path} does not make one output of {batch.dtype} {batch.shape} ({shorten(error, 200)})"
            raise UsageError(f"{what}. Correct `size`, or the model.") from error

    return measure, shape


def _open_onnx(path: Path) -> tuple[Callable, tuple]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS", "0"))  # as `in_processes` wants
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    (only,), (output,) = session.get_inputs(), session.get_outputs()
    count = only.shape[0] if isinstance(only.shape[0], int) else BATCH  # 1, where it is fixed

    def run(batch: np.ndarray) -> np.ndarray:
        pieces = np.split(batch, range(count, len(batch), count))
        return np.concatenate([session.run([output.name], {only.name: each})[0] for each in pieces])

    return run, tuple(only.shape)


def _checked(values: np.ndarray, count: int, path) -> np.ndarray:
    """What an extractor gave for a batch, (count, size) float32."""
    if values.ndim != 2 or len(values) != count or values.dtype.kind != "f":
        what = f"gives {values.dtype} {values.shape} for {count} pictures or windows of sound"
        raise UsageError(f"The extractor {what}, not ({count}, size) floats. Pool over places in the model.")
    if not np.isfinite(values).all():
        raise DataError(f"{path}: the extractor gives NaN or infinity for it.")
    return values.astype(np.float32, copy=False)


def _tile(picture: np.ndarray) -> np.ndarray:
    return np.array(ImageOps.pad(Image.fromarray(picture), (TILE_WIDTH, TILE_HEIGHT)))


def webp_of_tiles(
    tiles: Iterable[tuple[int, Image.Image]], count: int, *, size: tuple[int, int], columns: int, **saving
) -> bytes:
    """One WEBP of so many tiles of a size, row by row; of those that are not given by their number it has black."""
    width, height = size
    sheet = Image.new("RGB", (width * columns, height * -(-count // columns)))
    for number, tile in tiles:
        row, column = divmod(number, columns)
        sheet.paste(tile, (column * width, row * height))
    sheet.save(content := io.BytesIO(), "WEBP", quality=60, **saving)
    return content.getvalue()
