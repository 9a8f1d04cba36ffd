"""One video's evidence without a browser: a figure, and the same in words."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np

from dmlkit.explorer.evidence import Evidence
from dmlkit.explorer.weighing import entropy
from dmlkit.plots.style import Plot, canvas, mark, nothing, shorten, styled

MOST_CLASSES = 3
LISTED = 8
# More bars than this would be narrower than a dot of the picture.
MOST_BARS = 600


@styled
def still(
    evidence: Evidence,
    *,
    frame: int | None = None,
    classes: Sequence[int] | None = None,
    note: str = "",
) -> Plot:
    """Weights over time, what each frame adds to some classes, the features' energy, and the top classes.

    Args:
        evidence: The video.
        frame: The frame that is marked; None marks none.
        classes: The classes whose frames are drawn, of those carried; None: the true ones first, then the highest.
        note: What else a reader must know, below the rows: what was set, which runs are not drawn.

    Returns:
        A `Plot`; one that says why where there is nothing to draw.
    """
    title = f"{shorten(evidence.run, 40)} on {shorten(evidence.video, 40)}"
    if not evidence.frames:
        return nothing("the video has no frames, so there are no weights.", title=title)
    chosen = _chosen(evidence, classes)
    rows = 1 + (evidence.linear or evidence.occlusion is not None) * len(chosen) + bool(evidence.energy)
    figure, axes = canvas(
        rows, 2, width=9.5, height=1.1 + 1.35 * max(rows, 2), title=title, sharex="col",
        height_ratios=[1.5, *[1.0] * (rows - 1)],
    )  # fmt: skip
    figure.get_layout_engine().set(wspace=0.03)
    over_time, beside = axes[0::2], axes[1::2]
    grid = beside[0].get_gridspec()
    grid.set_width_ratios([2.4, 1])
    for ax in beside:
        ax.remove()
    edges = _edges(evidence.times)
    _weights(over_time[0], evidence, edges)
    if rows - bool(evidence.energy) > 1:
        for ax, label in zip(over_time[1:], chosen, strict=False):
            _contributions(ax, evidence, label, edges)
    if evidence.energy:
        _energy(over_time[-1], evidence)
    if frame is not None and 0 <= frame < evidence.frames:
        for ax in over_time:
            ax.axvline(evidence.times[frame], color="black", linewidth=1.2, linestyle=(0, (1, 1.5)))
    over_time[-1].set(
        xlabel="seconds" + ("; dotted: the chosen frame" if frame is not None else ""), xlim=edges[[0, -1]]
    )
    if note:
        lines = textwrap.wrap(shorten(note, 330), 110)
        figure.supxlabel("\n".join(lines), x=0.01, ha="left", size=9.5, weight="bold")
    if evidence.classes:
        _scores(figure.add_subplot(grid[:, 1]), evidence)
    return Plot(figure, f"{note} {say_evidence(evidence)}".strip())


def say_evidence(evidence: Evidence) -> str:
    """The same in words: where the weights gather, what the model says, what is true.

    Args:
        evidence: The video.
    """
    head = f"{evidence.run} on video {evidence.video}:"
    if not evidence.frames:
        return f"{head} it has no frames, so there are no weights."
    weights, n = evidence.weights, evidence.frames
    top = int(weights.argmax())
    nats, share = entropy(weights)
    said = [
        f"{head} {n} frame{'s' * (n > 1)}; the heaviest is frame {top + 1} at {evidence.times[top]:g} s with a weight "
        f"of {weights[top]:.3f} (uniform: {1 / n:.3f}); the weights' entropy is {nats:.2f} nats"
        + (f", {share:.0%} of that of uniform weights." if n > 1 else ".")
    ]
    if evidence.classes:
        said.append(f"Highest scores: {_say_scores(evidence)}.")
    if evidence.linear and evidence.classes:
        first = _ranked(evidence)[0]
        adds = weights * evidence.contributions[:, first]
        most = int(np.abs(adds).argmax())
        said.append(
            f"{evidence.names[first]} gets {adds.sum():+.2f} from the frames and {evidence.biases[first]:+.2f} from "
            f"its bias, most from frame {most + 1} ({adds[most]:+.2f})."
        )
    elif evidence.occlusion is not None and evidence.classes:
        first = _ranked(evidence)[0]
        most = int(np.abs(evidence.occlusion[:, first]).argmax())
        said.append(
            f"The classifier is not linear, so frames are told by occlusion (each masked alone): without frame "
            f"{most + 1} the score of {evidence.names[first]} would change by {-evidence.occlusion[most, first]:+.3f}."
        )
    for label, frames in evidence.planted.items():
        if 0 < frames.sum() < n:
            said.append(
                f"Class {_name(evidence, label)} was planted in {frames.mean():.0%} of the frames, which hold "
                f"{weights[frames].sum():.0%} of the weight."
            )
    return " ".join(said)


def _chosen(evidence: Evidence, classes: Sequence[int] | None) -> list[int]:
    """Places among the classes carried."""
    if classes is None:
        ranked = _ranked(evidence)
        true = [place for place in ranked if evidence.classes[place] in (evidence.true or ())]
        order = [*true, *(place for place in ranked if place not in true)]
    else:
        order = [evidence.classes.index(label) for label in classes if label in evidence.classes]
    return order[:MOST_CLASSES]


def _ranked(evidence: Evidence) -> list[int]:
    """Places of the classes carried, this run's own highest score first."""
    return np.argsort(-evidence.scores, kind="stable").tolist()


def _edges(times: np.ndarray) -> np.ndarray:
    """(frames + 1,) where each frame's bar begins and ends: half way to its neighbours."""
    times = times.astype(np.float64)
    step = np.median(np.diff(times)) if len(times) > 1 else 1.0
    middles = (times[1:] + times[:-1]) / 2
    return np.array([times[0] - step / 2, *middles, times[-1] + step / 2])


def _bars(ax, values: np.ndarray, edges: np.ndarray, *, color: str, hatch: str | None = None) -> None:
    """One bar a frame; where there are too many, one for several, as high as the farthest of them from 0."""
    group = -(-len(values) // MOST_BARS)
    if group > 1:
        starts = np.arange(0, len(values), group)
        high, low = np.maximum.reduceat(values, starts), np.minimum.reduceat(values, starts)
        values, edges = np.where(high >= -low, high, low), np.append(edges[starts], edges[-1])
    ax.stairs(values, edges, fill=True, facecolor=color, edgecolor="white" if len(values) < 120 else color,
              linewidth=0.4, hatch=hatch)  # fmt: skip


def _weights(ax, evidence: Evidence, edges: np.ndarray) -> None:
    uniform, top = 1 / evidence.frames, float(evidence.weights.max())
    _bars(ax, evidence.weights, edges, color=mark(0).color)
    ax.axhline(uniform, color="#333333", linewidth=1, linestyle="--")
    ax.annotate("uniform", (1, uniform), xycoords=("axes fraction", "data"), xytext=(-2, 2), ha="right",
                textcoords="offset points", size=8.5)  # fmt: skip
    planted = [(label, frames) for label, frames in evidence.planted.items() if 0 < frames.mean() < 0.9]
    for row, (label, frames) in enumerate(planted[:MOST_CLASSES]):
        height = top * (1.14 + 0.2 * row)
        ax.plot(evidence.times[frames], np.full(frames.sum(), height), "|", color=mark(row + 2).color, markersize=7,
                markeredgewidth=2.2)  # fmt: skip
        at_right = evidence.times[frames].mean() < edges.mean()
        ax.annotate(
            f"planted: {shorten(_name(evidence, label), 24)}",
            (float(evidence.times[frames].max() if at_right else evidence.times[frames].min()), height),
            (7 if at_right else -7, 0), textcoords="offset points", ha="left" if at_right else "right", va="center",
            size=8.5,
        )  # fmt: skip
    ax.set(ylabel="weight", ylim=(0, top * (1.1 + 0.2 * len(planted[:MOST_CLASSES]))))


def _contributions(ax, evidence: Evidence, place: int, edges: np.ndarray) -> None:
    if evidence.linear:
        values, what = evidence.weights * evidence.contributions[:, place], "adds to the logit of"
    else:
        values, what = (
            evidence.occlusion[:, place],
            "occlusion (each frame masked alone): adds to the score of",
        )
    _bars(ax, values, edges, color=mark(1).color, hatch="///" if len(values) < 60 else None)
    ax.axhline(0, color="#333333", linewidth=0.8)
    true = " (true)" if evidence.classes[place] in (evidence.true or ()) else ""
    ax.set_title(f"{what} {shorten(evidence.names[place], 40)}{true}", size=9)


def _energy(ax, evidence: Evidence) -> None:
    for row, (name, energy) in enumerate(evidence.energy.items()):
        look = mark(row)
        for what, values, line in (("energy", energy, "-"), ("change", evidence.change.get(name), ":")):
            if values is not None:
                ax.plot(
                    evidence.times,
                    values / max(float(values.max()), 1e-12),
                    color=look.color,
                    linestyle=line,
                    marker=look.marker,
                    markersize=4,
                    markevery=max(1, evidence.frames // 30),
                    label=f"{name}: {what}",
                )
    ax.set(ylim=(0, 1.08))
    ax.set_title("features, each as a share of its highest", size=9)
    ax.legend(ncols=4, fontsize=8, loc="lower right", frameon=True, framealpha=0.85, edgecolor="none")


def _scores(ax, evidence: Evidence) -> None:
    count = min(LISTED, len(evidence.classes))
    for row, place in enumerate(_ranked(evidence)[:count]):
        true = evidence.classes[place] in (evidence.true or ())
        ax.barh(row, evidence.scores[place], height=0.34, color=mark(0).color if true else "#9A9A9A",
                hatch="///" if true else None, edgecolor="white")  # fmt: skip
        tick = "✓ " if true else ""
        ax.annotate(f"{tick}{shorten(evidence.names[place], 26)}  {evidence.scores[place]:.3f}", (0, row - 0.34),
                    size=8.5, va="center", weight="bold" if true else "normal")  # fmt: skip
    ax.set(xlim=(0, 1), ylim=(count - 0.5, -0.75), yticks=[], xlabel="score; ✓ true label")
    ax.grid(False)


def _say_scores(evidence: Evidence) -> str:
    said = []
    for place in _ranked(evidence)[:5]:
        true = " (true)" if evidence.classes[place] in (evidence.true or ()) else ""
        said.append(f"{evidence.names[place]} {evidence.scores[place]:.3f}{true}")
    return ", ".join(said)


def _name(evidence: Evidence, label: int) -> str:
    return evidence.names[evidence.classes.index(label)] if label in evidence.classes else f"class {label}"
