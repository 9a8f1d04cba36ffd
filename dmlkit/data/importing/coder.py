"""Videos as they come into records: one level, one set of modalities and sizes, one coding."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from dmlkit.data.importing.imported import Imported
from dmlkit.data.schema import Feature, OFFSET, SCALE, dequantize, quantize
from dmlkit.errors import DataError
from dmlkit.text import shorten

# What lies outside is clipped when it is coded as bytes.
LIMIT = 2.0
MISSING = ("refuse", "silence")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_TAKEN = {"id", "labels", "num_frames"}


@dataclass
class Coder:
    """What every video is held against and made into.

    Attributes:
        level: ``"frame"`` or ``"video"``; None until the first video tells.
        coding: ``"byte"`` or ``"float"``; None for bytes at frame level. The video level holds floats.
        missing: ``"refuse"`` a video that lacks a modality, or leave it to ``"silence"`` when it is read.
        frames_apart: How many frames a video's modalities may differ by; they are cut to the shorter.
        sizes: Modality → values a frame, as met so far.
        values: Modality → how many values were coded as bytes.
        clipped: Of these, how many were clipped.
        cut: How many videos were cut.
        silent: Modality → how many videos lack it.
    """

    level: str | None = None
    coding: str | None = None
    missing: str = "refuse"
    frames_apart: int = 2
    sizes: dict[str, int] = field(default_factory=dict)
    values: Counter[str] = field(default_factory=Counter)
    clipped: Counter[str] = field(default_factory=Counter)
    cut: int = 0
    silent: Counter[str] = field(default_factory=Counter)
    _videos: int = 0

    def code(self, video: Imported) -> dict[str, np.ndarray]:
        """Key in the record → the array to write: uint8 or float32.

        Raises:
            DataError: The video does not fit to those before it, or its values are no features.
        """
        where = f"{video.where}, {shorten(video.id)}"
        arrays = {name: _plain(array, f"{where}, {name}") for name, array in video.features.items()}
        arrays = {name: array for name, array in arrays.items() if array.ndim == 1 or len(array)}
        if not arrays:
            raise DataError(f"{where} has no frames in any modality. Leave the video out.")
        if self.level is None:
            self.level = "frame" if any(array.ndim == 2 for array in arrays.values()) else "video"
        self._fit(arrays, where)
        if self.level == "frame":
            arrays = self._cut(arrays, where)
        coded = {self._key(name): self._coded(name, array, where) for name, array in arrays.items()}
        self._videos += 1
        return coded

    def features(self) -> dict[str, Feature]:
        """The modalities met, biggest first, as dataset.toml has them."""
        order = sorted(self.sizes.items(), key=lambda each: (-each[1], each[0]))
        return {name: Feature(name, size, self._kept_as, self._key(name)) for name, size in order}

    @property
    def _kept_as(self) -> str:
        return "float" if self.level == "video" else self.coding or "byte"

    def _key(self, name: str) -> str:
        return f"mean_{name}" if self.level == "video" else name

    def _fit(self, arrays: dict[str, np.ndarray], where: str) -> None:
        for name, array in arrays.items():
            if self.level == "frame" and array.ndim == 1:
                raise DataError(
                    f"{where}: {name} is one row of {len(array)} values, but the data set has frames, "
                    "(frames, size). Import the one and the other into folders of their own (`--level`)."
                )
            if name not in self.sizes:
                self._meet(name, array, where)
            if array.shape[-1] != self.sizes[name]:
                raise DataError(
                    f"{where}: {name} has {array.shape[-1]} values a frame, but {self.sizes[name]} in the "
                    "videos before it. Import videos of other features into a folder of their own."
                )
        for name in self.sizes.keys() - arrays.keys():
            if self.missing == "refuse":
                raise DataError(
                    f"{where} lacks the modality {name}, which the videos before it have. Leave the video "
                    "out, import fewer modalities (`--modalities`), or take the lack for silence "
                    "(`--missing silence`)."
                )
            self.silent[name] += 1

    def _meet(self, name: str, array: np.ndarray, where: str) -> None:
        if not _NAME.fullmatch(name) or name in _TAKEN:
            raise DataError(
                f"{where}: {shorten(name)!r} cannot be the name of a modality: letters, figures and _, and "
                f"none of {', '.join(sorted(_TAKEN))}. Rename it."
            )
        if array.shape[-1] == 0:
            raise DataError(f"{where}: {name} has frames of no values. Compute the features anew.")
        if self._videos:
            if self.missing == "refuse":
                raise DataError(
                    f"{where} has the modality {name}, which the videos before it lack. Import only those "
                    "that all have (`--modalities`), or take the lack for silence (`--missing silence`)."
                )
            self.silent[name] += self._videos
        self.sizes[name] = array.shape[-1]

    def _cut(self, arrays: dict[str, np.ndarray], where: str) -> dict[str, np.ndarray]:
        lengths = {name: len(array) for name, array in arrays.items()}
        shortest, longest = min(lengths.values()), max(lengths.values())
        if shortest == longest:
            return arrays
        if longest - shortest > self.frames_apart:
            told = ", ".join(f"{name} {length}" for name, length in lengths.items())
            raise DataError(
                f"{where}: the modalities differ in their number of frames ({told}), by more than "
                f"{self.frames_apart}. Extract them at one rate, or let them be cut to the shorter "
                "(`--frames-apart`)."
            )
        self.cut += 1
        return {name: array[:shortest] for name, array in arrays.items()}

    def _coded(self, name: str, array: np.ndarray, where: str) -> np.ndarray:
        if self.level == "video" and array.ndim == 2:
            array = _mean(array)
        if array.dtype == np.uint8:
            return array if self._kept_as == "byte" else dequantize(array)
        with np.errstate(over="ignore", invalid="ignore"):  # what comes of it is looked at below
            array = array.astype(np.float32)
        if not np.isfinite(array).all():
            frame = int(np.argmin(np.isfinite(array).reshape(len(array), -1).all(axis=1)))
            place = (
                f"frame {frame} (counted from 0)" if array.ndim == 2 else f"value {frame} (counted from 0)"
            )
            raise DataError(
                f"{where}: {name} holds NaN or infinite values, {place} first. Compute the features anew, "
                "or leave the video out."
            )
        if self._kept_as == "float":
            return array
        self.values[name] += array.size
        self.clipped[name] += int(np.count_nonzero(np.abs(array) > LIMIT))
        return quantize(array)


def _plain(array: np.ndarray, where: str) -> np.ndarray:
    array = np.asarray(array)
    if array.dtype != np.uint8 and array.dtype.kind != "f":
        raise DataError(
            f"{where} is {array.dtype}; expected uint8 (YouTube-8M's bytes) or floats. Save it as one of "
            "them, or say which arrays are modalities (`--modalities`)."
        )
    if array.ndim not in (1, 2):
        raise DataError(
            f"{where} must be (frames, size), or (size,) at video level. Received: {array.shape}."
        )
    return array


def _mean(frames: np.ndarray) -> np.ndarray:
    """The mean over the frames, (frames, size) → (size,); of bytes, that of what they stand for."""
    if frames.dtype == np.uint8:
        return (frames.mean(axis=0, dtype=np.float64) * SCALE + OFFSET).astype(np.float32)
    return frames.mean(axis=0, dtype=np.float64)
