"""What a notebook keeps of a view for readers without a kernel: the whole scene, a picture, a table, words."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from dmlkit.errors import DataError, UsageError
from dmlkit.explorer.drawing import element, page, sentence
from dmlkit.explorer.evidence import Evidence, scene

HERE = Path(__file__).parent
MODULE, STYLE = HERE / "attention_view.js", HERE / "attention_view.css"
"""The view itself: one plain JavaScript module, and its looks."""

MIME = "application/vnd.dmlkit.attention+json"
"""A scene: what our report turns into the same view, with its data inlined."""


def saved_view(explorer) -> dict[str, object]:
    """The forms of a view that need no kernel, by MIME type.

    Args:
        explorer: An `AttentionExplorer`.
    """
    if not explorer.evidence:
        said = explorer._problem
        return {"text/html": page(sentence(said)), "text/plain": said}
    from dmlkit.explorer.still import say_evidence, still

    place = next((at for at, run in enumerate(explorer.source.runs) if run in explorer.shown), 0)
    evidence, said = as_shown(explorer, place)
    here = " ".join(filter(None, [_say_runs(explorer.source.runs, place), said]))
    notes = [each for each in (explorer.source.note, here) if each]
    seconds = explorer.evidence[0].times[explorer.frame : explorer.frame + 1]
    frame = int(np.abs(evidence.times - seconds).argmin()) if len(seconds) and evidence.frames else None
    plot = still(evidence, frame=frame, classes=explorer.classes, note=here)
    words, png = say_evidence(evidence), base64.b64encode(plot.png()).decode("ascii")
    picture = element(
        "img", {"src": f"data:image/png;base64,{png}", "alt": plot.alt, "style": "max-width: 100%"}
    )
    title = f"{explorer.source.title} on {explorer.source.data}. {explorer.source.videos[explorer.video]}"
    return {
        MIME: _scene(explorer),
        "text/html": page(
            sentence(title),
            *map(sentence, notes),
            picture,
            sentence(words),
            sentence(
                "Open this notebook in JupyterLab and run it to mask and remove frames and to choose videos."
            ),
        ),
        "image/png": png,
        "text/plain": "\n".join([title, *notes, words]),
    }


def _scene(explorer) -> dict:
    """The chosen video and those after it, and how the view stands."""
    ids = list(explorer.source.videos)
    place = ids.index(explorer.video)
    kept = (ids[place:] + ids[:place])[: explorer.keep]
    videos, broken = {}, {}
    for name in kept:
        try:
            videos[name] = explorer.evidence if name == explorer.video else explorer._look(name)
        except (DataError, UsageError) as error:
            broken[name] = explorer.unread(name, error)  # the others are shown all the same
    said = scene(videos, **explorer._head(live=False))
    whole = {each["id"]: each for each in said["videos"]}
    said["videos"] = [whole.get(name) or broken[name] for name in kept]
    # Classes that nobody chose are each video's own.
    names = ["frame", "masked", "temperature", "top", "uniform", "shown"]
    names += ["classes"] * (explorer._wanted is not None)
    said["state"] = {name: getattr(explorer._widget, name) for name in names}
    if explorer.removed:
        back = f"Saved with {_frames(explorer.removed)} removed; here they are given back: removing takes the model."
        said["note"] = " ".join(filter(None, [said["note"], back]))
    return said


def as_shown(explorer, place: int) -> tuple[Evidence, str]:
    """A run's evidence with the weights and scores that the view shows, and what was set, in words.

    Args:
        explorer: An `AttentionExplorer` with evidence.
        place: Of the run.

    Returns:
        The evidence, and a sentence; the model's own and an empty one where nothing was set.
    """
    own, said = explorer.evidence[place], _say_state(explorer)
    if not said:
        return own, ""
    try:
        weights, scores = explorer.weighed(place)
    except (DataError, UsageError) as error:
        return (
            own,
            f"As set ({said}) it cannot be shown, these are the model's own weights and scores: {error}",
        )
    if weights is None:
        return own, f"As set ({said}) no frame weighs anything; these are the model's own weights and scores."
    if scores is None:
        bare = {
            "classes": (),
            "names": (),
            "scores": (),
            "contributions": None,
            "biases": None,
            "occlusion": None,
        }
        shown = replace(own, weights=weights, logits=None, **bare)
        return shown, f"As set: {said}. What the scores become only the model could say."
    part = explorer.encoded(place)
    there, laid = np.isin(own.times, part.times), {}
    for name in ("contributions", "occlusion"):
        rows = getattr(part, name)
        if rows is not None:
            laid[name] = np.zeros((own.frames, rows.shape[1]), np.float32)
            laid[name][there] = rows
    return replace(own, weights=weights, logits=None, scores=scores, **laid), f"As set: {said}."


def _say_state(explorer) -> str:
    """What differs from the model's own weights; nothing where nothing does."""
    said = [
        f"{_frames(frames)} {what}"
        for what, frames in (("masked", explorer.masked), ("removed", explorer.removed))
        if frames
    ]
    if explorer.top is not None and explorer.top < explorer.frames:
        said.append(
            f"only the {explorer.top} heaviest kept" if explorer.top > 1 else "only the heaviest kept"
        )
    if explorer.uniform:
        said.append("uniform weights")
    elif explorer.temperature != 1:
        said.append(f"temperature {explorer.temperature:g}")
    return ", ".join(said)


def _say_runs(runs: Sequence[str], place: int) -> str:
    """Which of several runs is drawn, and which are not."""
    others = [run for at, run in enumerate(runs) if at != place]
    if not others:
        return ""
    which = "the first" if place == 0 else "one"
    return f"Drawn here is {runs[place]}, {which} of {len(runs)} runs; not drawn: {', '.join(others)}."


def _frames(frames: Sequence[int]) -> str:
    return f"{len(frames)} frame{'s' * (len(frames) != 1)}"
