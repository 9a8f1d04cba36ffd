"""SequenceExamples as MediaPipe's MediaSequence writes them: many to a TFRecord, or one to a file.

MediaPipe's YouTube-8M graph leaves one serialized message in a file, not a TFRecord, whatever the file is called.
Its features are floats, and under keys of their own, which no reader of YouTube-8M knows.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePath

import numpy as np

from dmlkit.data.importing.imported import LARGEST, Choice, Imported, stem, text, video_id
from dmlkit.data.records import HEADER_BYTES, is_header, read_records
from dmlkit.errors import DataError
from dmlkit.text import shorten

FRAMES, MEANS = "/feature/floats", "/context_feature/floats"
ID_KEYS = ("example/id", "clip/media_id", "id", "video_id")
PATH_KEY = "clip/data_path"
LABEL_KEYS = ("clip/label/index", "labels", "clip/label/string")


def read_media_sequence(path: Path, choice: Choice) -> Iterator[Imported]:
    """The videos of one file.

    Raises:
        DataError: It is damaged, or holds something else.
    """
    if _framed(path):
        for number, record in enumerate(read_records(path)):
            where = f"{path}, record {number} (counted from 0)"
            yield _video(_parsed(record, where), where, None, choice)
        return
    if path.stat().st_size > LARGEST:
        raise DataError(f"{path} is neither a TFRecord nor small enough to be one SequenceExample.")
    yield _video(_parsed(path.read_bytes(), str(path)), str(path), stem(path), choice)


def _framed(path: Path) -> bool:
    """Whether the file begins as a TFRecord: with a length and its checksum."""
    try:
        with path.open("rb") as file:
            header = file.read(HEADER_BYTES)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error
    return is_header(header)


def _parsed(record: bytes, where: str):
    from dmlkit.data.protos import SequenceExample

    try:
        return SequenceExample.FromString(record)
    except Exception as error:
        raise DataError(
            f"{where} is not a SequenceExample of MediaPipe's, or it is damaged ({shorten(error, 80)})."
        ) from error


def _video(example, where: str, file_name: str | None, choice: Choice) -> Imported:
    lists, context = example.feature_lists.feature_list, example.context.feature
    # Sorted: the order of a message's keys is nobody's.
    frames = {_name(key, FRAMES): key for key in sorted(lists) if key.endswith(FRAMES) and lists[key].feature}
    means = {_name(key, MEANS): key for key in sorted(context) if key.endswith(MEANS)}
    if not frames and not means:
        raise DataError(_nothing(where, sorted((*lists, *context)), set(lists)))
    wanted = {name: key for name, key in (frames or means).items() if choice.takes(name)}
    if frames:
        features = {name: _matrix(lists[key].feature, f"{where}, {key}") for name, key in wanted.items()}
    else:
        features = {name: np.array(context[key].float_list.value, np.float32) for name, key in wanted.items()}
    return Imported(
        id=_id(context, where, file_name),
        labels=_labels(context, where),
        features=features,
        part=None,
        where=where,
        left_aside=tuple(name for name in (*frames, *means) if name not in wanted),
    )


def _matrix(frames, where: str) -> np.ndarray:
    lengths = {len(frame.float_list.value) for frame in frames}
    if len(lengths) != 1:
        raise DataError(f"{where}: the frames differ in their number of values ({shorten(sorted(lengths))}).")
    rows = np.empty((len(frames), lengths.pop()), np.float32)
    for row, frame in zip(rows, frames, strict=True):
        row[:] = frame.float_list.value
    return rows


def _id(context, where: str, file_name: str | None) -> str:
    for key in ID_KEYS:
        if key in context and context[key].bytes_list.value:
            return video_id(context[key].bytes_list.value[0], where)
    if PATH_KEY in context and context[PATH_KEY].bytes_list.value:
        path = text(context[PATH_KEY].bytes_list.value[0], where, PATH_KEY)
        # Named on any system: both kinds of slashes part folders.
        return video_id(PurePath((path or "").replace("\\", "/")).stem, where)
    if file_name:
        return file_name
    raise DataError(
        f"{where} names no video: none of {', '.join((*ID_KEYS, PATH_KEY))} is in it. Set example/id."
    )


def _labels(context, where: str) -> list[int] | list[str] | None:
    for key in LABEL_KEYS:
        if key in context and (values := context[key].int64_list.value):
            return list(values)
        if key in context and (values := context[key].bytes_list.value):
            return [text(value, where, key) or "" for value in values]
    return None


def _name(key: str, ending: str) -> str:
    return key.removesuffix(ending).lower()


def _nothing(where: str, keys: list[str], lists: set[str]) -> str:
    held = shorten(", ".join(keys), 200) or "none"
    said = f"{where} has no features of MediaPipe's (<MODALITY>{FRAMES}). Its keys: {held}."
    if lists & {"rgb", "audio", "audio_embedding"} or {"mean_rgb", "mean_audio"} & set(keys):
        said += " That is YouTube-8M's own layout, which needs no import: give its folder to --data as it is."
    return said
