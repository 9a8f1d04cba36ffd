"""The picture of one video's attention: bars over time, the uniform weight, the planted frames, a mark."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dmlkit.explorer.attended import AttendedVideo
from dmlkit.explorer.drawing import ROOM_ABOVE, ROOM_BELOW, cut, element, escape, plot
from dmlkit.printable import shorten

BARS = 150
STRIP = 25
# More rows would push the picture out of sight; the sentence beside it names every class all the same.
MOST_STRIPS = 5


def bars(video: AttendedVideo, *, names: Sequence[str]) -> str:
    """Everything but the mark of the chosen frame.

    Args:
        video: The video.
        names: Of the classes.
    """
    count, uniform, top = len(video.weights), 1 / len(video.weights), _top(video)
    width = 100 / count
    marks = []
    for frame, weight in enumerate(video.weights.tolist()):
        height = BARS * weight / top
        place = {"x": f"{frame * width + 0.08 * width:.3f}%", "width": f"{0.84 * width:.3f}%"}
        tip = element(
            "title", {}, escape(f"frame {frame + 1}, {video.times[frame]:g} s: weight {weight:.4f}")
        )
        marks.append(
            element(
                "rect", {"class": "bar", "y": f"{BARS - height:.2f}", "height": f"{height:.2f}", **place}, tip
            )
        )
    level = BARS * (1 - uniform / top)
    line = {
        "x1": "0%",
        "x2": "100%",
        "y1": f"{level:.1f}",
        "y2": f"{level:.1f}",
        "stroke-width": 1.5,
        "stroke-dasharray": "6 4",
    }
    marks.append(element("line", {**line, "style": "stroke: var(--jp-ui-font-color1, #222)"}))
    text = {"class": "halo", "x": "100%", "y": f"{level - 5:.1f}", "text-anchor": "end"}
    marks.append(element("text", text, f"uniform {uniform:.3f}"))
    marks.append(element("line", {"class": "rule", "x1": "0%", "x2": "100%", "y1": BARS, "y2": BARS}))
    strips = _strips(video, names)
    return plot(
        "".join(marks) + "".join(strips),
        label=f"Attention weight of the {count} frames of {video.id}: highest {video.weights.max():.4f} at "
        f"{video.times[int(video.weights.argmax())]:g} s, uniform {uniform:.4f}.",
        caption="Attention weight of each frame",
        height=BARS + STRIP * len(strips),
        across=[(100 * (frame + 0.5) / count, f"{video.times[frame]:g}") for frame in _ticks(count)],
        down=[(BARS, "0"), (BARS * (1 - float(video.weights.max()) / top), f"{video.weights.max():.3f}")],
        unit="time in the video (s)",
    )


def mark(video: AttendedVideo, frame: int) -> str:
    """The chosen frame: a triangle above it, and a line down to the axis. Laid over `bars`."""
    height = BARS + STRIP * min(len(video.planted), MOST_STRIPS)
    at = f"{100 * (frame + 0.5) / len(video.weights):.3f}%"
    ink = "var(--jp-ui-font-color0, #000)"
    lines = "".join(
        element(
            "line",
            {"x1": at, "x2": at, "y1": start, "y2": end, "style": f"stroke: {ink}; stroke-width: {width}"},
        )
        # Thinner across the strips, so that their names stay readable.
        for start, end, width in ((0, BARS, 1.5), (BARS, height, 0.5))
    )
    triangle = element("path", {"d": "M0 2 6-8-6-8z", "style": f"fill: {ink}"})
    marks = lines + element("svg", {"x": at, "y": 0, "overflow": "visible"}, triangle)
    # The caption and the axis at the left are those of `bars`, empty: the two lie upon each other.
    box = {
        "width": "100%",
        "height": height + ROOM_BELOW,
        "style": f"margin-top: {ROOM_ABOVE}px",
        "aria-hidden": "true",
    }
    plot_box = element("div", {"class": "plot"}, "<span></span>" + element("svg", box, marks))
    caption = element("figcaption", {"class": "caption"}, "&nbsp;")
    return element("div", {"class": "dmlkit"}, element("figure", {}, caption + plot_box))


def still(video: AttendedVideo, frame: int, *, names: Sequence[str]) -> str:
    """Bars and mark upon each other, where there is no widget to lay them so."""
    layers = element("div", {}, bars(video, names=names)) + mark(video, frame)
    return element("div", {"class": "stack"}, layers)


def frame_sentence(video: AttendedVideo, frame: int, *, names: Sequence[str]) -> str:
    """What there is to say of one frame, as HTML."""
    count, weight = len(video.weights), float(video.weights[frame])
    facts = [
        element("span", {"class": "caption"}, f"Frame {frame + 1} of {count}, at {video.times[frame]:g} s"),
        f"weight {weight:.4f}, {weight * count:.1f} × uniform",
    ]
    if video.planted:
        here = [names[label] for label, frames in video.planted.items() if frames[frame]]
        facts.append("planted here: " + (", ".join(map(cut, here)) or "nothing"))
    return element("div", {"class": "dmlkit"}, element("p", {"class": "dmlkit-frame"}, "<br>".join(facts)))


def _top(video: AttendedVideo) -> float:
    """The weight at the upper edge: room above the uniform line for its name."""
    return max(1.05 * float(video.weights.max()), 1.5 / len(video.weights))


def _strips(video: AttendedVideo, names: Sequence[str]) -> list[str]:
    """A row for each planted label: its name, and below it a stroke under each frame that made it."""
    width = 100 / len(video.weights)
    rows = []
    for number, (label, frames) in enumerate(list(video.planted.items())[:MOST_STRIPS]):
        above = BARS + STRIP * number
        strokes = "".join(
            element(
                "rect",
                {
                    "x": f"{start * width:.3f}%",
                    "width": f"{(end - start) * width:.3f}%",
                    "y": above + 19,
                    "height": 5,
                    "style": "fill: var(--jp-ui-font-color1, #222)",
                },
            )
            for start, end in _stretches(frames)
        )
        said = f"{'planted' if frames.any() else 'planted, not read'}: {names[label]}"
        whole = element("title", {}, escape(said))
        name = element("text", {"x": "0%", "y": above + 15}, escape(shorten(said, 44)) + whole)
        rows.append(name + strokes)
    return rows


def _stretches(frames: np.ndarray) -> list[tuple[int, int]]:
    """The (start, end) of each stretch of True; the end is not part of it."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], frames, [False]]).astype(np.int8)))
    return [(int(start), int(end)) for start, end in edges.reshape(-1, 2)]


def _ticks(count: int) -> range:
    """Frames whose second is written below: at most about eight."""
    step = next(
        step for step in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, count) if count / step <= 8
    )
    return range(0, count, step)
