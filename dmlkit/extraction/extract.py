"""Many video and audio files into a data set: clip after clip in worker processes, then an import of them all.

What is made of a clip is a file in OUT.partial, written whole or not at all, whose name is a hash of the recipe, the
clip, its size and its time, so that the same call continues where one stopped. The data set appears when all are there.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from tqdm import tqdm

from dmlkit.data.import_readers import ImportedVideo, split_in
from dmlkit.data.importing import SHARES, Import, import_features, plan_splits, refuse_filled
from dmlkit.data.storage import is_remote, readable_path
from dmlkit.errors import DataError, UsageError, choose, counted, plain_text, shorten
from dmlkit.extraction.decoding import MEDIA
from dmlkit.extraction.extractors import TILE, Extractor, Recipe, digest_of, project
from dmlkit.files import file_lock, read_arrays, write_arrays
from dmlkit.runtime import cores, in_processes

PROJECTION = "projection.npz"
LISTED = 10
Files = str | os.PathLike | Sequence[str | os.PathLike]


def extract_features(
    videos: Files,
    out: str | os.PathLike,
    *,
    labels: str | os.PathLike | None = None,
    recipe: Recipe | None = None,
    folder: str | os.PathLike | None = None,
    pca: int | None = None,
    jobs: int | None = None,
    on_problem: str = "refuse",
    missing: str = "refuse",
    split: str = SHARES,
    classes: str | os.PathLike | Sequence[str] | None = None,
    num_classes: int | None = None,
    name: str | None = None,
    allow_clipping: bool = False,
    progress: bool = False,
) -> Import:
    """Make a data set of video and audio files: features by a recipe, thumbnails, the files themselves.

    A clip's id is its file's name without the ending. Memory does not grow with the length or number of clips, but for
    a clip's features.

    Args:
        videos: Files, and folders in which files with the endings `MEDIA` are looked for, at any depth.
        out: The folder to make; what is finished before it is whole stays in ``OUT.partial``.
        labels, split, classes, num_classes, name, allow_clipping: As of `dmlkit.data.import_features`.
        recipe: How features are made; None for the baseline at one frame a second.
        folder: Where the projection of the recipe is, and other files of it that have moved.
        pca: The most values of a frame in each modality: a PCA with whitening, fitted to the training split.
        jobs: Processes, of one thread each; None for one a core, 0 for this process.
        on_problem: What to do with files that cannot be extracted: ``"refuse"`` the whole, after all others are
            done, or ``"skip"`` them with a note.
        missing: What to do with clips without pictures, or without sound, where both are wanted: ``"refuse"`` as
            any problem, or extract the other and read this as ``"silence"``.
        progress: Whether to show a progress bar on a terminal.

    Raises:
        UsageError: An argument that cannot be used, a folder that is not empty, a full disk.
        DataError: Two files of one id, labels that do not fit, or files that cannot be extracted.
    """
    if is_remote(os.fspath(out)):
        raise UsageError(f"Features are extracted to a local folder. Received: {out}.")
    out = Path(readable_path(out)).absolute()
    refuse_filled(out)
    choose(dict.fromkeys(("refuse", "skip")), on_problem, what="rule for problems")
    choose(dict.fromkeys(("refuse", "silence")), missing, what="rule for what is missing")
    recipe = (recipe or Recipe()).resolved()
    if pca is not None and (pca < 1 or recipe.projection):
        raise UsageError(f"A PCA takes 1 value or more, and a recipe without a projection. Received: {pca=}.")
    clips, notes = find_clips(videos)
    table = None if labels is None else Path(readable_path(labels))
    about = {"labels": table, "classes": classes, "num_classes": num_classes, "split": split}
    splits = plan_splits(clips, **about)
    work = out.with_name(f"{out.name}.partial")

    def in_use(holder: str) -> None:
        raise UsageError(f"{holder} extracts to {out} already. Wait for it, or name another folder.")

    try:
        work.mkdir(parents=True, exist_ok=True)
        with file_lock(work / "lock", taken=in_use):
            done, more = _extract_all(clips, work, recipe, folder, missing, on_problem, jobs, progress)
            notes += more
            projection = _open(recipe, folder).projection
            if pca:
                training = (_features(path) for clip, path in done if splits[clip.id] == "train")
                projection = fit_projection(training, pca)
            if projection:
                write_arrays(work / PROJECTION, projection)
                named = {"projection": PROJECTION, "projection_digest": digest_of(work / PROJECTION)}
                recipe = recipe.model_copy(update=named)
            imported = import_features(
                (clip._replace(features=project(_features(path), projection)) for clip, path in done),
                out,
                **about,
                name=name,
                coding=recipe.coding,
                missing=missing,
                allow_clipping=allow_clipping,
                add_files=lambda made: _add_files(made, done, recipe, work, notes),
            )
    except OSError as error:
        advice = f"What is finished stays in {work}; the same command continues."
        where = error.filename or work
        raise UsageError(f"{where} cannot be read or written: {error.strerror or error}. {advice}") from error
    shutil.rmtree(work, ignore_errors=True)
    return replace(imported, notes=(*notes, *imported.notes))


def find_clips(videos: Files) -> tuple[list[ImportedVideo], list[str]]:
    """The clips in files and folders, without features, by id; and notes on what is left aside.

    Raises `DataError` for what is not there, and for two files of one id.
    """
    videos = [videos] if isinstance(videos, str | os.PathLike) else videos
    sources = [Path(readable_path(video)).absolute() for video in videos]
    clips, aside = {}, 0
    for source in sources:
        if not source.exists():
            raise DataError(f"There is no file or folder {source}.")
        for path in sorted(filter(Path.is_file, source.rglob("*"))) if source.is_dir() else [source]:
            parts = path.relative_to(source).parts
            if parts and (path.suffix.lower() not in MEDIA or any(part[0] == "." for part in parts)):
                aside += 1
                continue
            folders = Path(os.path.relpath(path, os.path.commonpath(sources))).parts[:-1]
            clip = ImportedVideo(plain_text(path.stem), None, {}, None, str(path), split_in(folders))
            other = clips.setdefault(clip.id, clip).where
            if os.path.realpath(other) != os.path.realpath(path):
                raise DataError(f"{other} and {path} are both {shorten(clip.id)}. Rename one of them.")
    if not clips:
        raise DataError(f"No files {', '.join(MEDIA)} in {shorten(', '.join(map(str, sources)), 200)}.")
    notes = [f"Left aside, no video or audio by its name: {counted(aside, 'file')}."] if aside else []
    return [clips[name] for name in sorted(clips)], notes


def _extract_all(clips, work, recipe, folder, missing, on_problem, jobs, progress):
    """Extract the clips that are not yet extracted: each that can be with its file, and notes."""
    made_by = recipe.model_dump(exclude={"projection", "projection_digest", "coding"})
    done = []
    for clip in clips:
        about = os.stat(clip.where)
        key = [made_by, clip.where, about.st_size, about.st_mtime_ns]
        # What is whole by the stricter rule is so by the other.
        keys = [json.dumps([*key, rule]).encode() for rule in ("refuse", missing)]
        paths = [work / f"{hashlib.sha256(key).hexdigest()[:32]}.npz" for key in keys]
        done.append((clip, next(filter(Path.exists, paths), paths[-1])))
    tasks = [(clip.where, path, recipe, folder, missing) for clip, path in done if not path.exists()]
    _open(recipe, folder)  # before the processes do, as this may fetch weights
    advice = "Leave that file out, or use fewer --jobs. What is finished stays; the same command continues."
    results = in_processes(_extract_one, tasks, cores() if jobs is None else jobs, advice=advice)
    before, hidden = len(clips) - len(tasks), None if progress else True
    bar = tqdm(results, total=len(clips), initial=before, unit=" clips", disable=hidden)
    notes = [f"Extracted before: {counted(before, 'clip')}."] if before else []
    if problems := [*filter(None, bar)]:
        share = f"{len(problems):,} of {counted(len(clips), 'file')}"
        listed = " ".join(problems[:LISTED]) + " And others." * (len(problems) > LISTED)
        if on_problem == "refuse" or len(problems) == len(clips):
            advice = "Correct them, or leave them out (`--on-problem skip`): what is finished stays."
            raise DataError(f"{share} cannot be extracted. {listed} {advice}")
        notes.append(f"Skipped, {share}: {listed}")
    return [(clip, path) for clip, path in done if path.exists()], notes


_open = lru_cache(maxsize=1)(Extractor)


def _extract_one(clip: str, path: Path, recipe: Recipe, folder, missing: str) -> str | None:
    """Extract a clip to a file; what is wrong with it, if anything."""
    extractor = _open(recipe, folder)
    try:
        found = extractor.measure(clip, missing=missing)
    except DataError as error:
        return str(error)
    write_arrays(path, found.features | {"sheet": np.frombuffer(found.thumbnails or b"", np.uint8)})
    return None


def _features(path: Path) -> dict[str, np.ndarray]:
    return {name: array for name, array in read_arrays(path).items() if name != "sheet"}


def fit_projection(clips: Iterable[Mapping[str, np.ndarray]], size: int) -> dict[str, np.ndarray]:
    """PCA and whitening of each modality to at most `size` values, of the frames of clips, which are read once.

    Components by falling variance; of each, the entry of largest magnitude is positive. Values get a standard deviation
    of 0.5, so that four of them lie within [-2, 2] (YouTube-8M's bytes), and less where a direction varies by less than
    about a hundredth of the first. For each NAME, returns NAME_mean (d,) and NAME_components (d, size) of `project`.
    """
    sums: dict[str, list] = {}
    for features in clips:
        for name, array in features.items():
            array = array.astype(np.float64)
            parts = len(array), array.sum(0), array.T @ array
            sums[name] = [total + part for total, part in zip(sums.get(name, (0, 0, 0)), parts, strict=True)]
    if not sums:
        raise DataError("There are no training clips, to which a PCA is fitted.")
    found = {}
    for name, (count, total, squares) in sums.items():
        if count <= size:
            raise DataError(f"A PCA to {size} values takes more training frames than the {count} of {name}.")
        mean = total / count
        variances, directions = np.linalg.eigh(squares / count - np.outer(mean, mean))
        variances, directions = variances[::-1][:size], directions[:, ::-1][:, :size]
        largest = np.take_along_axis(directions, abs(directions).argmax(0)[None], axis=0)
        deviations = np.sqrt(variances.clip(0) + 1e-4 * max(variances[0], 1e-12))
        found[f"{name}_mean"] = mean
        found[f"{name}_components"] = directions * np.sign(largest) / (2 * deviations)
    return found


def _add_files(folder: Path, clips, recipe: Recipe, work: Path, notes: list[str]) -> dict:
    """Put thumbnails, media and the projection into the folder; return their entries of dataset.toml."""
    (folder / "thumbnails").mkdir()
    (folder / "videos").mkdir()
    unlinked = 0
    for clip, path in clips:
        source = Path(clip.where).resolve()
        if sheet := read_arrays(path)["sheet"].tobytes():  # none of sound, or of more than two hours
            (folder / "thumbnails" / f"{clip.id}.webp").write_bytes(sheet)
        try:
            os.link(source, folder / "videos" / f"{clip.id}{source.suffix}")
        except OSError:
            unlinked += 1
    if recipe.projection:
        shutil.copyfile(work / PROJECTION, folder / PROJECTION)
    if unlinked:
        why = "as their file system has no hard links to that of the data set"
        notes.append(f"Not played by the explorer, {why}: {counted(unlinked, 'clip')}.")
    tile = {"path": "thumbnails/{id}.webp"} | dict(zip(("width", "height", "columns"), TILE, strict=True))
    thumbnails = tile if recipe.pictures else None
    return {"extractor": recipe.table(), "thumbnails": thumbnails, "media": ["videos/{id}.*"]}
