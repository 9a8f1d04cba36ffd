"""Views of attention in a page: our own module and their data, inlined; no other script, nothing from outside.

A notebook hands a view over as a scene, which is data. It is read and written anew here, so that a page holds
nothing of a notebook's but numbers and names; what is no scene stays the text or picture that stands beside it.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from functools import cache

from bs4 import BeautifulSoup
from markupsafe import Markup

from dmlkit.errors import DataError
from dmlkit.explorer.evidence import FORMAT, Evidence
from dmlkit.explorer.saved_view import MIME, MODULE, STYLE

# Behind the module: draw each scene in its place; where that fails, the still picture stays.
START = """
for (const data of document.querySelectorAll("script.dmlkit-scene")) {
  try { show(data.previousElementSibling, JSON.parse(data.textContent)); } catch (error) { console.error(error); }
}
"""
STATE = {
    "frame": int,
    "masked": [int],
    "temperature": float,
    "top": int,
    "uniform": bool,
    "classes": [int],
    "shown": [str],
}


class Views:
    """The views of one page, in the order in which its notebook shows them."""

    def __init__(self):
        self.scenes: list[dict] = []

    def take(self, output: Mapping) -> Mapping:
        """An output whose scene is kept here, its place marked; any other output as it is."""
        data = output.get("data", {})
        if MIME not in data:
            return output
        rest = {kind: value for kind, value in data.items() if kind != MIME}
        try:
            self.scenes.append(read_scene(data[MIME]))
        except DataError:
            output["data"] = rest
            return output
        still = rest.get("text/html", "")
        place = f'<div class="dmlkit-place" data-view="{len(self.scenes) - 1}">{still}</div>'
        output["data"] = {"text/html": place, "text/plain": rest.get("text/plain", "")}
        return output

    def put(self, soup: BeautifulSoup) -> None:
        """Lay each scene's data behind its place, which shows the still picture until the module draws there."""
        for number, scene in enumerate(self.scenes):
            place = soup.find("div", class_="dmlkit-place", attrs={"data-view": str(number)})
            if place is None:
                continue
            data = soup.new_tag("script", attrs={"type": "application/json", "class": "dmlkit-scene"})
            data.string = as_data(scene)
            place.insert_after(data)

    @property
    def style(self) -> Markup:
        """The views' looks; nothing where there is no view."""
        return Markup(STYLE.read_text(encoding="utf-8")) if self.scenes else Markup()  # our own file

    @property
    def script(self) -> Markup:
        """The module; nothing where there is no view."""
        return Markup(_script()) if self.scenes else Markup()  # our own file

    @property
    def policy(self) -> dict[str, str]:
        """What the page must be allowed for them: this very module."""
        return {"script-src": _hash()} if self.scenes else {}


def read_scene(said: object) -> dict:
    """A scene out of what a notebook holds: each value is checked, and nothing else is kept.

    Raises:
        DataError: It is no scene.
    """
    try:
        if said["format"] != FORMAT or not said["videos"]:
            raise DataError(f"This is no scene of format {FORMAT}.")
        head = {name: _as(str, said[name]) for name in ("title", "data")}
        note = None if said["note"] is None else _as(str, said["note"])
        videos = [
            {
                "id": _as(str, video["id"]),
                "label": _as(str, video["label"]),
                "runs": [_run(run) for run in video["runs"]],
            }
            for video in said["videos"]
        ]
        told = said.get("state") or {}
        state = {name: _state(kind, told[name]) for name, kind in STATE.items() if told.get(name) is not None}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"This is no scene: {error!r}.") from error
    known = {"format": FORMAT, **head, "generated": _as(bool, said.get("generated")), "note": note}
    return {**known, "videos": videos, "live": False, "state": state}


def as_data(value: object) -> str:
    """JSON that no browser takes for markup, whatever its strings hold."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _run(said: Mapping) -> dict:
    if "problem" in said:
        return {name: _as(str, said[name]) for name in ("run", "video", "problem")}
    return Evidence.from_json(said).to_json()


def _state(kind, value):
    if isinstance(kind, list):
        return [_as(kind[0], each) for each in value]
    return float(value) if kind is float and type(value) in (int, float) else _as(kind, value)


def _as(kind: type, value: object):
    if type(value) is not kind:
        raise TypeError(f"expected {kind.__name__}, received {value!r:.60}")
    return value


@cache
def _script() -> str:
    return MODULE.read_text(encoding="utf-8") + START


@cache
def _hash() -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(_script().encode()).digest()).decode()}'"
