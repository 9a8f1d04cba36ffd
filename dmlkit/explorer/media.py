"""The video itself: pictures of its frames, its file and its page, where dataset.toml declares them.

Files are read within the data folder only. What is missing, broken or not as declared is a line in `problems`; the rest
of the view works without it.
"""

import base64
import glob
import mimetypes
import os
import re
from functools import lru_cache, partial
from pathlib import Path
from urllib.parse import quote

from PIL import Image, ImageOps

from dmlkit.data import Dataset
from dmlkit.errors import DataError, counted, shorten
from dmlkit.extraction.extractors import webp_of_tiles
from dmlkit.paths import is_remote

FORMATS = ("JPEG", "PNG", "WEBP")
# Which not every system knows.
TYPES = {
    "video/mp4": ".m4v",
    "video/x-matroska": ".mkv",
    "audio/flac": ".flac",
    "audio/ogg": ".ogg",
    "audio/mp4": ".m4a",
}
for each in TYPES.items():
    mimetypes.add_type(*each)
MOST_TILES = 300  # a strip has room for fewer; of a longer video every k-th frame has one
TILE_HEIGHT, MOST_WIDTH, COLUMNS = 48, 160, 20  # of sprites made here: pixels, pixels, tiles


def media_of(
    dataset: Dataset, video: str, *, frames: int, start: float = 0.0, live: bool = False
) -> dict | None:
    """What the view shows of the video itself, as a dict for JSON; None where the data set declares nothing.

    ``thumbnails`` (a sprite as a data URI, from the ``first`` second a tile ``every`` so many), ``player`` (with the
    address of the file in JupyterLab if `live`, else with its ``path``, of which a saved page makes a relative
    address), ``link``, ``offset``, ``problems``: those there are.
    The records hold so many `frames` of the `video` (its id), which begin at the second `start` of the whole video.
    """
    makers = {"thumbnails": _thumbnails, "player": partial(_player, live=live), "link": _link}
    declared = {"thumbnails": dataset.thumbnails, "player": dataset.media, "link": dataset.link}
    if not any(declared.values()):
        return None
    found = {"offset": start, "problems": []}
    for name in filter(declared.get, declared):
        try:
            found[name] = makers[name](dataset, video, frames)
        except (DataError, OSError, RuntimeError) as error:  # the last for links that lead to themselves
            found["problems"].append(shorten(error, 300))
    found["problems"] += found.get("thumbnails", {}).get("problems", ())
    return found


def _files(dataset: Dataset, pattern: str | Path, video: str) -> list[Path]:
    """The files of a video that match, in natural order (2 before 10); `DataError` for any outside the data folder."""
    if isinstance(
        pattern, Path
    ):  # not of a dataset.toml, which may be anybody's, but the user's own argument
        return [pattern.resolve()]
    if is_remote(dataset.path):
        raise DataError("Pictures and files of videos are read from local folders only. Copy the data set.")
    if not video.isprintable() or video in ("", ".", "..") or {*"/\\"} & {*video}:
        raise DataError(f"The id {video!r:.60} cannot be a part of the path of a file, as in {pattern}.")
    root = Path(dataset.path).resolve()
    paths = [root / path for path in glob.glob(pattern.replace("{id}", glob.escape(video)), root_dir=root)]
    if outside := [path for path in paths if not path.resolve().is_relative_to(root)]:
        what = f"{shorten(outside[0], 120)} is outside the data folder {root}"
        raise DataError(f"{what}. It is not opened; put the file itself there.")
    # Digits are at the odd places, so that numbers are compared with numbers.
    parts = {path: re.split(r"(\d+)", str(path)) for path in paths if path.is_file()}
    return sorted(parts, key=lambda path: [int(e) if k % 2 else e for k, e in enumerate(parts[path])])


def _thumbnails(dataset: Dataset, video: str, frames: int) -> dict:
    pattern, *tile = vars(dataset.thumbnails).values()
    if not (files := _files(dataset, pattern, video)):
        raise DataError(f"There are no thumbnails {pattern} of {shorten(video)}.")
    if "*" in pattern and len(files) != frames:
        what = f"{pattern} of {shorten(video)} are {counted(len(files), 'picture')}"
        raise DataError(f"{what}, but the video has {counted(frames, 'frame')}. They are not shown.")
    tile = None if "*" in pattern else tuple(tile)
    made = _sprite(tuple((path, path.stat().st_mtime_ns) for path in files), tile, frames)
    return made | {
        "every": made["every"] / dataset.fps,
        "first": 0.5 / dataset.fps if dataset.extractor else 0,
    }


@lru_cache(maxsize=16)
def _sprite(files: tuple[tuple[Path, int], ...], tile: tuple[int, int, int] | None, frames: int) -> dict:
    """The thumbnails in files, each with the time of its last change, as the view reads them."""
    every = max(1, -(-frames // MOST_TILES))
    shown, pictures, broken = range(0, frames, every), {}, []
    if tile:
        width, height, columns = tile
        sprite, rows, name = _picture(files[0][0]), -(-frames // columns), files[0][0].name
        if sprite.size != (width * columns, height * rows):
            what = f"{name} has {sprite.width} × {sprite.height} pixels, but {counted(frames, 'frame')} take"
            raise DataError(f"{what} {columns} × {rows} tiles of {width} × {height}. It is not shown.")
        corners = {k: (k % columns * width, k // columns * height) for k in shown}
        pictures = {k: sprite.crop((x, y, x + width, y + height)) for k, (x, y) in corners.items()}
    for k in () if tile else shown:
        try:
            pictures[k] = _picture(files[k][0], most=(4 * MOST_WIDTH, 4 * TILE_HEIGHT))
        except DataError as error:
            broken.append(error)
    if not pictures:
        raise broken[0]
    first = next(iter(pictures.values()))
    width = min(MOST_WIDTH, max(1, round(TILE_HEIGHT * first.width / first.height)))
    size = width, TILE_HEIGHT
    tiles = ((k // every, ImageOps.pad(each.convert("RGB"), size)) for k, each in pictures.items())
    content = webp_of_tiles(tiles, len(shown), size=size, columns=COLUMNS)
    source = f"data:image/webp;base64,{base64.b64encode(content).decode('ascii')}"
    about = {"columns": COLUMNS, "width": width, "height": TILE_HEIGHT, "count": len(shown), "every": every}
    problems = [f"{broken[0]} Left out: {counted(len(broken), 'picture')}."] if broken else []
    return {"src": source, **about, "problems": problems}


def _picture(path: Path, *, most: tuple[int, int] | None = None) -> Image.Image:
    """A picture, decoded, no larger than `most`; `DataError` for what is none, is cut off or takes too much memory."""
    try:
        with Image.open(path, formats=FORMATS) as picture:
            if most:
                picture.thumbnail(most)  # decodes a JPEG no larger than that
            picture.load()
            return picture
    except Exception as error:  # Pillow's and its codecs', of another class for each kind of damage
        name = f"{path.parent.name}/{path.name}"
        raise DataError(f"{name} is no picture, or a damaged one ({type(error).__name__}).") from error


def _player(dataset: Dataset, video: str, frames: int, *, live: bool) -> dict:
    for pattern in dataset.media:
        for file in _files(dataset, pattern, video):
            kind = (mimetypes.guess_type(file.name)[0] or "").partition("/")[0]
            # "a.*" matches a.b.mp4, too, which is that of a video "a.b".
            if kind not in ("video", "audio") or (str(pattern).endswith("{id}.*") and file.stem != video):
                continue
            if not file.stat().st_size:
                raise DataError(f"{file.name} is empty, so it cannot be played.")
            return {"kind": kind} | ({"src": _served(file)} if live else {"path": str(file)})
    raise DataError(
        f"There is no video or audio file {' or '.join(map(str, dataset.media))} of {shorten(video)}."
    )


def _served(file: Path) -> str:
    """The address at which the JupyterLab of this kernel serves a file, without the host."""
    from jupyter_server.serverapp import list_running_servers

    servers = list(list_running_servers())
    own = [each for each in servers if str(each["pid"]) == os.environ.get("JPY_PARENT_PID")] or servers
    for server in own:
        if file.is_relative_to(root := Path(server["root_dir"]).resolve()):
            return f"{server['base_url']}files/{quote(file.relative_to(root).as_posix())}"
    what = f"{file.name} is not played: no JupyterLab serves {file.parent}"
    raise DataError(f"{what}. Start it in a folder above (`jupyter lab` there, or its root_dir).")


def _link(dataset: Dataset, video: str, frames: int) -> str:
    if "youtube.com/" in dataset.link and not re.fullmatch(r"[\w-]{11}", video, re.ASCII):
        raise DataError(f"The id {video!r:.60} is none of YouTube's, so there is no link to it.")
    return dataset.link.replace("{id}", quote(video, safe="", errors="replace"))
