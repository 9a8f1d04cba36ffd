"""What a notebook keeps of the attention explorer for readers without a kernel: the scene, a picture, a table."""

from __future__ import annotations

import base64
import html
import textwrap
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from dmlkit.errors import DmlkitError
from dmlkit.explorer.evidence import Evidence
from dmlkit.text import shorten

MODULE, STYLE = (Path(__file__).with_name(f"attention_view.{kind}") for kind in ("js", "css"))
"""The view itself: one JavaScript module without dependencies, and its style sheet."""

MIME = "application/vnd.dmlkit.attention+json"
"""A scene, from which a report draws the same view without a kernel."""

UP, DOWN, TRUTH, GREY = "#1c6fb8", "#b8480c", "#7a3f98", "#9a9a9a"
DRAWN_CLASSES, LISTED_CLASSES = 3, 8
MAX_BARS = 600
"""More bars would be narrower than a pixel of the picture."""


def saved_view(explorer) -> dict[str, object]:
    """The explorer's representations that need no kernel, by MIME type.

    Args:
        explorer: An `AttentionExplorer`.
    """
    source = explorer.source
    title = f"{source.title} on {source.data}. {source.videos[explorer.video]}"
    if not explorer.evidence:
        problem = explorer.scene["videos"][0]["runs"][0]["problem"]
        return {"text/html": _paragraphs(title, problem), "text/plain": f"{title}\n{problem}"}
    run = next((at for at, name in enumerate(source.runs) if name in explorer.shown), 0)
    evidence, settings = as_shown(explorer, run)
    others = [name for at, name in enumerate(source.runs) if at != run]
    drawn = f"Drawn here: {source.runs[run]}; not drawn: {', '.join(others)}." if others else ""
    note = " ".join(filter(None, [drawn, settings]))
    seconds = explorer.evidence[0].times[explorer.frame : explorer.frame + 1]
    frame = int(np.abs(evidence.times - seconds).argmin()) if len(seconds) and evidence.frames else None
    plot = still_picture(evidence, frame=frame, classes=explorer.classes, note=note)
    png = base64.b64encode(plot.png()).decode("ascii")
    picture = f'<img src="data:image/png;base64,{png}" alt="{html.escape(plot.alt)}" style="max-width: 100%">'
    lines = [title, *filter(None, [source.note, note])]
    hint = "Run this notebook in JupyterLab to mask and remove frames and to choose videos."
    return {
        MIME: _saved_scene(explorer),
        "text/html": _paragraphs(*lines) + picture + _paragraphs(hint),
        "image/png": png,
        "text/plain": "\n".join([*lines, plot.alt]),
    }


def as_shown(explorer, run: int) -> tuple[Evidence, str]:
    """A run's evidence with the weights and scores that the view shows, and the settings; "" where none is changed.

    Args:
        explorer: An `AttentionExplorer` with evidence.
        run: Its position.
    """
    full, changes = explorer.evidence[run], describe_changes(explorer)
    if not changes:
        return full, ""
    try:
        weights, scores = explorer.state_of(run)
    except DmlkitError as error:
        return full, f"Drawn without the settings ({changes}): {error}"
    if weights is None:
        return full, f"With {changes} no frame is left; drawn are the model's own weights and scores."
    encoded = explorer.encoded()[run]
    weights = weights[np.isin(full.times, encoded.times)]
    if scores is not None:
        return replace(encoded, weights=weights, logits=None, scores=scores), f"Settings: {changes}."
    unknown = {"contributions": None, "biases": None, "occlusion": None, "classes": (), "names": ()}
    shown = replace(encoded, weights=weights, logits=None, scores=(), **unknown)
    return shown, f"Settings: {changes}. The scores under them need the model."


def describe_changes(explorer) -> str:
    """What differs from the model's own weights; "" where nothing does."""
    changes = [
        f"{len(frames)} frame{'s' * (len(frames) != 1)} {what}"
        for what, frames in (("masked", explorer.masked), ("removed", explorer.removed))
        if frames
    ]
    if explorer.top is not None and explorer.top < explorer.frames:
        changes.append(f"top {explorer.top} kept")
    if explorer.uniform:
        changes.append("uniform weights")
    elif explorer.temperature != 1:
        changes.append(f"temperature {explorer.temperature:g}")
    return ", ".join(changes)


def still_picture(
    evidence: Evidence, *, frame: int | None = None, classes: Sequence[int] | None = None, note: str = ""
):
    """Weights over time, what each frame adds to some classes, the features' energy, and the top classes.

    Args:
        evidence: The video.
        frame: The frame that is marked; None marks none.
        classes: The classes whose frames are drawn; None: the true ones first, then the highest.
        note: Below the rows.

    Returns:
        A `Plot`.
    """
    from dmlkit.plots.style import Plot, canvas, styled

    title = f"{shorten(evidence.run, 40)} on {shorten(evidence.video, 40)}"
    ranked = np.argsort(-evidence.scores, kind="stable").tolist()
    true = [at for at in ranked if evidence.classes[at] in (evidence.true or ())]
    if classes is None:
        drawn = list(dict.fromkeys([*true, *ranked]))
    else:
        drawn = [evidence.classes.index(label) for label in classes if label in evidence.classes]
    drawn = drawn[:DRAWN_CLASSES] if evidence.linear or evidence.occlusion is not None else []

    @styled
    def draw() -> Plot:
        rows = 1 + len(drawn) + bool(evidence.energy)
        ratios = [1.5, *[1.0] * (rows - 1)]
        height = 1.1 + 1.35 * max(rows, 2)
        figure, axes = canvas(
            rows, 2, width=9.5, height=height, title=title, sharex="col", height_ratios=ratios
        )
        grid = axes[0].get_gridspec()
        grid.set_width_ratios([2.4, 1])
        for ax in axes[1::2]:
            ax.remove()
        axes = axes[0::2]
        if not evidence.frames:
            axes[0].set_title("the video has no frames", size=9)
            return Plot(figure, _alt(evidence, ranked, true))
        times = evidence.times.astype(np.float64)
        step = np.median(np.diff(times)) if len(times) > 1 else 1.0
        edges = np.array([times[0] - step / 2, *(times[1:] + times[:-1]) / 2, times[-1] + step / 2])
        _draw_weights(axes[0], evidence, edges)
        for ax, at in zip(axes[1:], drawn, strict=False):
            if evidence.linear:
                values, what = (
                    evidence.weights * evidence.contributions[:, at],
                    "contribution to the logit of",
                )
            else:
                values, what = evidence.occlusion[:, at], "occlusion (each frame masked alone), score of"
            _draw_bars(ax, values, edges, color=DOWN)
            ax.axhline(0, color="#333333", linewidth=0.8)
            ax.set_title(f"{what} {shorten(evidence.names[at], 40)}{' (true)' * (at in true)}", size=9)
        if evidence.energy:
            _draw_energy(axes[-1], evidence)
        marked = frame is not None and 0 <= frame < evidence.frames
        for ax in axes if marked else ():
            ax.axvline(times[frame], color="black", linewidth=1.2, linestyle=(0, (1, 1.5)))
        axes[-1].set(xlabel="seconds" + "; dotted: the selected frame" * marked, xlim=edges[[0, -1]])
        if note:
            text = "\n".join(textwrap.wrap(shorten(note, 330), 110))
            figure.supxlabel(text, x=0.01, ha="left", size=9.5, weight="bold")
        if evidence.classes:
            _draw_scores(figure.add_subplot(grid[:, 1]), evidence, ranked[:LISTED_CLASSES], true)
        return Plot(figure, f"{note} {_alt(evidence, ranked, true)}".strip())

    return draw()


def _alt(evidence: Evidence, ranked: Sequence[int], true: Sequence[int]) -> str:
    """The picture's alternative text."""
    head = f"{evidence.run} on video {evidence.video}: {evidence.frames} frames"
    if evidence.frames:
        top = int(evidence.weights.argmax())
        head += f", highest weight {evidence.weights[top]:.3f} at frame {top + 1} ({evidence.times[top]:g} s)"
    scores = [
        f"{evidence.names[at]} {evidence.scores[at]:.3f}{' (true)' * (at in true)}" for at in ranked[:5]
    ]
    return f"{head}; scores: {', '.join(scores) or 'none'}."


def _draw_bars(ax, values: np.ndarray, edges: np.ndarray, *, color: str) -> None:
    """One bar a frame; where there are too many, one for several, as high as the one farthest from 0."""
    group = -(-len(values) // MAX_BARS)
    if group > 1:
        starts = np.arange(0, len(values), group)
        high, low = np.maximum.reduceat(values, starts), np.minimum.reduceat(values, starts)
        values, edges = np.where(high >= -low, high, low), np.append(edges[starts], edges[-1])
    edge = "white" if len(values) < 120 else color
    ax.stairs(values, edges, fill=True, facecolor=color, edgecolor=edge, linewidth=0.4)


def _draw_weights(ax, evidence: Evidence, edges: np.ndarray) -> None:
    top = float(evidence.weights.max())
    _draw_bars(ax, evidence.weights, edges, color=UP)
    ax.axhline(1 / evidence.frames, color="#333333", linewidth=1, linestyle="--", label="uniform")
    truth = {label: made for label, made in evidence.ground_truth.items() if 0 < made.mean() < 0.9}
    for row, (label, made) in enumerate(list(truth.items())[:DRAWN_CLASSES]):
        known = label in evidence.classes
        name = evidence.names[evidence.classes.index(label)] if known else f"class {label}"
        height = np.full(made.sum(), top * (1.14 + 0.2 * row))
        ax.plot(
            evidence.times[made],
            height,
            "|s^"[row],
            color=TRUTH,
            markersize=6,
            label=f"made {shorten(name, 24)}",
        )
    ax.set(ylabel="weight", ylim=(0, top * (1.1 + 0.2 * min(len(truth), DRAWN_CLASSES))))
    ax.legend(ncols=4, fontsize=8, loc="upper right", frameon=True, framealpha=0.85, edgecolor="none")


def _draw_energy(ax, evidence: Evidence) -> None:
    for color, (name, energy) in zip((UP, DOWN, TRUTH, GREY) * 9, evidence.energy.items(), strict=False):
        for what, values, line in (("energy", energy, "-"), ("change", evidence.change.get(name), ":")):
            if values is not None:
                share = values / max(float(values.max()), 1e-12)
                ax.plot(evidence.times, share, color=color, linestyle=line, label=f"{name}: {what}")
    ax.set(ylim=(0, 1.08))
    ax.set_title("features, each relative to its maximum", size=9)
    ax.legend(ncols=4, fontsize=8, loc="lower right", frameon=True, framealpha=0.85, edgecolor="none")


def _draw_scores(ax, evidence: Evidence, listed: Sequence[int], true: Sequence[int]) -> None:
    for row, at in enumerate(listed):
        ax.barh(row, evidence.scores[at], height=0.34, color=UP if at in true else GREY)
        text = f"{'✓ ' * (at in true)}{shorten(evidence.names[at], 26)}  {evidence.scores[at]:.3f}"
        weight = "bold" if at in true else "normal"
        ax.annotate(text, (0, row - 0.34), size=8.5, va="center", weight=weight)
    ax.set(xlim=(0, 1), ylim=(len(listed) - 0.5, -0.75), yticks=[], xlabel="score; ✓ true label")
    ax.grid(False)


def _saved_scene(explorer) -> dict:
    """The chosen video and those after it, with the view's settings."""
    ids = list(explorer.source.videos)
    start = ids.index(explorer.video)
    note = None
    if explorer.removed:
        note = f"Saved with {len(explorer.removed)} removed frames, which are restored here: removing takes the model."
    saved = explorer.scene_of((ids[start:] + ids[:start])[: explorer.keep], live=False, note=note)
    names = ["frame", "masked", "temperature", "top", "uniform", "shown"]
    names += ["classes"] * (explorer.chosen_classes is not None)  # else each video shows its own
    values = {name: getattr(explorer, name) for name in names}
    return saved | {"state": {name: list(v) if isinstance(v, tuple) else v for name, v in values.items()}}


def _paragraphs(*lines: str) -> str:
    return "".join(f"<p>{html.escape(line)}</p>" for line in lines)
