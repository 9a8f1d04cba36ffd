"""Folders of `.npy`: one file a video and modality."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dmlkit.data.importing.arrays import opened_array
from dmlkit.data.importing.imported import Choice, Imported, by_modality, stem
from dmlkit.errors import DataError, UsageError
from dmlkit.text import shorten

SUFFIX = ".npy"
ALONE = "rgb"
# More folders than anybody has modalities: somebody has a folder for each video.
MOST_MODALITIES = 32


def read_npy(path: Path, choice: Choice) -> Iterator[Imported]:
    """The videos of one folder, by name.

    Raises:
        DataError: A file is damaged or no such array.
        UsageError: Several modalities are asked of a folder that holds one.
    """
    folders = _folders(path, choice)
    names: dict[str, dict[str, Path]] = {}
    for modality, folder in folders.items():
        for file in folder.iterdir():
            if _is_array(file):
                names.setdefault(stem(file), {})[modality] = file
    aside = tuple(sorted({entry.name for entry in path.iterdir() if _holds(entry)} - _names(folders, path)))
    for name in sorted(names):
        features = {}
        for modality, file in names[name].items():
            with opened_array(file) as stream:
                features[modality] = stream.whole()
        where = str(next(iter(names[name].values())))
        yield Imported(id=name, labels=None, features=features, part=None, where=where, left_aside=aside)


def holds_arrays(path: Path) -> bool:
    """Whether a folder is one of these."""
    return any(_is_array(entry) or _holds(entry) for entry in path.iterdir())


def _folders(path: Path, choice: Choice) -> dict[str, Path]:
    """Modality → the folder of its files."""
    inner = sorted(entry.name for entry in path.iterdir() if _holds(entry))
    if any(_is_array(entry) for entry in path.iterdir()):
        if inner:
            raise DataError(
                f"{path} holds both {SUFFIX} files and folders of them ({shorten(', '.join(inner))}). Give "
                "one or the other."
            )
        if choice.names is not None and len(choice.names) != 1:
            raise UsageError(
                f"{path} holds the {SUFFIX} files of one modality, but --modalities names "
                f"{len(choice.names)}. Name one, or put the files into {path.name}/<modality>/<id>{SUFFIX}."
            )
        return {choice.names[0] if choice.names else ALONE: path}
    if len(inner) > MOST_MODALITIES and choice.names is None:
        raise DataError(
            f"{path} holds {len(inner):,} folders of {SUFFIX} files, each of which would be a modality. "
            f"Expected <modality>/<id>{SUFFIX}; name the modalities (`--modalities`) if these are."
        )
    wanted = by_modality((name for name in inner if choice.takes(name)), str(path))
    return {modality: path / name for modality, name in wanted.items()}


def _names(folders: dict[str, Path], path: Path) -> set[str]:
    return {folder.name for folder in folders.values() if folder != path}


def _holds(entry: Path) -> bool:
    return not entry.name.startswith(".") and entry.is_dir() and any(map(_is_array, entry.iterdir()))


def _is_array(entry: Path) -> bool:
    return entry.suffix == SUFFIX and not entry.name.startswith(".") and entry.is_file()
