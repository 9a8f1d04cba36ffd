"""The attention explorer in a saved notebook, without a kernel: the scene, a picture, text."""

import base64
import html
import re
import textwrap
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from dmlkit.errors import counted, shorten
from dmlkit.explorer.evidence import DRAWN_CLASSES, Evidence, weighted_terms
from dmlkit.plots.style import COLORS, INK, LINES, PAPER, Plot, canvas, is_narrow, plotted

VIEW = Path(__file__).with_name("attention_view")
IMPORT = re.compile(r'(?ms)^import \{[^}]*\} from "\./(\w+)\.js";\n')
# A scene, from which a report draws the same view without a kernel.
MIME = "application/vnd.dmlkit.attention+json"
UP, DOWN, TRUTH = COLORS[0], COLORS[1], COLORS[3]
LEGEND = {"fontsize": 8, "frameon": True, "framealpha": 0.85, "facecolor": PAPER, "edgecolor": "none"}
DRAWN_GROUPS, LISTED_CLASSES, MAX_BARS = 4, 8, 600


def join_modules(entry: str) -> str:
    """A JavaScript module of `attention_view` with all that it imports, as one text for a page or a widget.

    Each module follows those that it imports, without import and export lines of its own: their names are distinct.
    """
    joined: dict[str, str] = {}

    def add(name: str) -> None:
        if name not in joined:
            text = (VIEW / f"{name}.js").read_text(encoding="utf-8")
            for imported in IMPORT.findall(text):
                add(imported)
            text = IMPORT.sub("", text)
            joined[name] = text if name == entry else re.sub(r"(?m)^export ", "", text)

    add(entry)
    return "\n".join(joined.values())


# The view itself: one module without dependencies, and its style sheet.
MODULE, STYLE = join_modules("main"), (VIEW / "style.css").read_text(encoding="utf-8")


def saved_view(explorer) -> dict[str, object]:
    """An `AttentionExplorer`'s representations that need no kernel, by MIME type."""
    source = explorer.source
    title = f"{source.title} on {source.data}. {source.videos[explorer.video]}"
    if not explorer.evidence:
        problem = explorer.scene["videos"][0]["runs"][0]["problem"]
        return {"text/html": paragraphs(title, problem), "text/plain": f"{title}\n{problem}"}
    run = next((at for at, name in enumerate(source.runs) if name in explorer.shown), 0)
    evidence, settings = as_shown(explorer, run)
    others = [name for at, name in enumerate(source.runs) if at != run]
    drawn = f"Drawn here: {source.runs[run]}; not drawn: {', '.join(others)}." if others else ""
    note = " ".join(filter(None, [drawn, settings]))
    seconds = explorer.evidence[0].times[explorer.frame : explorer.frame + 1]
    frame = int(np.abs(evidence.times - seconds).argmin()) if len(seconds) and evidence.frames else None
    plot = still_picture(evidence, frame=frame, classes=explorer.classes, note=note)
    lines = [title, *filter(None, [source.note, note])]
    hint = "Run this notebook in JupyterLab to mask and remove frames and to choose videos."
    # The scene has the chosen video and those after it, with the view's settings.
    ids, state, restored = list(source.videos), explorer.state, []
    ids = (ids[ids.index(explorer.video) :] + ids)[: min(explorer.keep, len(ids))]
    by_model = {"removed": len(explorer.removed), "muted": sum(map(len, explorer.muted.values()))}
    # Masked frames stay where the arrays of a run that is drawn determine its scores without them.
    from_arrays = [each.reweightable for each in explorer.evidence if each.run in explorer.shown]
    by_model |= {} if any(from_arrays) else {"masked": len(explorer.masked)}
    for name, count in by_model.items():
        state[name] = {} if name == "muted" else []
        restored += [f"{counted(count, f'{name} frame')}"] * bool(count)
    note = (
        f"Saved with {' and '.join(restored)}, which are restored here: that takes the model."
        if restored
        else None
    )
    saved = explorer.scene_of(ids, live=False, note=note)
    if explorer.chosen_classes is None:
        del state["classes"]  # each video shows its own
    saved["state"] = state
    return {
        MIME: saved,
        "text/html": paragraphs(*lines) + plot.markup() + paragraphs(hint),
        "image/png": base64.b64encode(plot.png()).decode("ascii"),
        "text/plain": "\n".join([*lines, plot.alt]),
    }


def as_shown(explorer, run: int) -> tuple[Evidence, str]:
    """Evidence with the weights and scores that the view shows of the run at a position, and what was changed."""
    frames = {"masked": explorer.masked, "removed": explorer.removed}
    frames |= {f"muted in {name}": each for name, each in explorer.muted.items()}
    changes = [f"{counted(len(each), 'frame')} {what}" for what, each in frames.items() if each]
    if explorer.top is not None and explorer.top < explorer.frames:
        changes.append(f"top {explorer.top} kept")
    if explorer.uniform:
        changes.append("uniform weights")
    elif explorer.temperature != 1:
        changes.append(f"temperature {explorer.temperature:g}")
    if not changes:
        return explorer.evidence[run], ""
    changes = ", ".join(changes)
    encoded, weights, scores = explorer.state_of(run)
    if weights is None and scores is None:
        left = {*range(explorer.frames)} - {*explorer.masked, *explorer.removed}
        why = "their effect on this run is not known" if left else "no frame is left"
        return explorer.evidence[run], f"With {changes} {why}; drawn are the model's own weights and scores."
    if scores is not None:
        return replace(encoded, weights=weights, logits=None, scores=scores), f"Settings: {changes}."
    drawn = {"weights": weights.mean(axis=2, keepdims=True), "logits": None}
    drawn |= dict.fromkeys(("contributions", "biases", "terms", "gap"))
    drawn |= dict.fromkeys(("classes", "names", "scores", "term_classes"), ())
    return replace(encoded, **drawn), f"Settings: {changes}. The scores under them need the model."


def terms_by_modality(
    evidence: Evidence, weights: np.ndarray | None
) -> tuple[np.ndarray | None, list, tuple]:
    """(frames, modalities, classes) the terms drawn under `weights`, names of the modalities, and the classes.

    Contributions are weighted and summed over groups; other terms are as they are. The name is "" where they are not
    split; there are no modalities where nothing is known.
    """
    values = weighted_terms(evidence, weights)
    if values is None:
        names = list(evidence.term_modalities) if evidence.terms is not None else []
        return evidence.terms, names, evidence.term_classes
    names = list(dict.fromkeys(modality or "" for _, modality in evidence.parts))
    of = [[(modality or "") == name for _, modality in evidence.parts] for name in names]
    return np.stack([values[:, those].sum(axis=1) for those in of], axis=1), names, evidence.classes


@plotted
def still_picture(
    evidence: Evidence, *, classes: Sequence[int], frame: int | None = None, note: str = ""
) -> Plot:
    """Weights over time, what each frame adds to some classes, and the features' energy; `frame` is marked."""
    scored = zip(evidence.classes, evidence.names, evidence.scores, strict=True)
    true = evidence.true or ()
    named = [f"{shorten(name)} {score:.3f}{' ✓' * (label in true)}" for label, name, score in scored]
    ranked = np.argsort(-evidence.scores, kind="stable")[:LISTED_CLASSES]
    scores = f"scores (✓ true label): {', '.join(named[at] for at in ranked) or 'not known'}"
    terms, modalities, explained = terms_by_modality(evidence, evidence.weights)
    drawn = [label for label in classes if label in evidence.classes][:DRAWN_CLASSES]
    own = _weight_rows(evidence, drawn)
    drawn = [label for label in drawn if label in explained]
    strip = evidence.assignment is not None
    rows = max(1, len(own) + strip + len(drawn) + bool(evidence.energy))
    title = f"{shorten(evidence.run, 40)} on {shorten(evidence.video, 40)}"
    ratios = [1.5, *[1.0] * (rows - 1)]
    figure, axes = canvas(
        title, None, rows, sharex=True, width=8.5, height=1.4 + 1.3 * rows, height_ratios=ratios
    )
    none = f"{evidence.title}." if evidence.weights is None else ""
    text = [line for each in (none, scores, note) for line in textwrap.wrap(shorten(each, 330), 110)]
    figure.supxlabel("\n".join(text), x=0.01, ha="left", size=9)
    alt = f"{note} {evidence.run} on video {evidence.video}: {evidence.frames} frames".strip()
    if evidence.frames:
        times = evidence.times.astype(np.float64)
        half = np.median(np.diff(times)) / 2 if len(times) > 1 else 0.5
        edges = np.array([times[0] - half, *(times[1:] + times[:-1]) / 2, times[-1] + half])
        places = iter(axes)
        for name, weights in own:
            top = int(weights.argmax())
            alt += f", {name}: highest weight {weights[top]:.3f} at frame {top + 1} ({times[top]:g} s)"
            _draw_weights(next(places), weights, edges, name)
        alt += f", {none}" * bool(none)
        if strip:
            _draw_assignment(next(places), evidence.assignment, edges)
        if drawn:  # on one scale, so that classes can be compared
            columns = [explained.index(label) for label in drawn]
            values = terms[:, :, columns]
            totals = values.sum(axis=1)
            low, high = min(0, values.min(), totals.min()), max(0, values.max(), totals.max())
            room = 0.08 * (high - low or 1)
        for label, column in zip(drawn, columns if drawn else (), strict=True):
            ax, at = next(places), evidence.classes.index(label)
            _draw_bars(ax, terms[:, :, column].sum(axis=1), edges, color=DOWN)
            for index, name in enumerate(modalities if len(modalities) > 1 else ()):
                look = {"color": (UP, TRUTH, INK)[index % 3], "linestyle": LINES[index % len(LINES)]}
                ax.plot(times, terms[:, index, column], linewidth=1, label=name, **look)
            if len(modalities) > 1:
                ax.legend(loc="upper right", ncols=len(modalities), **LEGEND)
            gap = "" if evidence.gap is None else f", completeness gap {evidence.gap[column]:+.2g}"
            ax.set_title(f"{named[at]}: {evidence.terms_title}{gap}", size=9)
            ax.set(ylabel="contribution", ylim=(low - room, high + room))
        first = 0 if own else int(strip)
        if own or drawn:
            _draw_truth(axes[first], evidence)
        for ax in axes[first : first + len(drawn)] if not own else ():
            ax.set_ylim(axes[first].get_ylim())
        _draw_signals(axes[-1], evidence)
        for ax in axes if frame is not None else ():
            ax.axvline(times[frame], color=INK, linewidth=1.2, linestyle=(0, (1, 1.5)))
        dotted = "" if frame is None else "; dotted: the selected frame"
        axes[-1].set(xlabel=f"seconds{dotted}", xlim=edges[[0, -1]])
    return Plot(figure, f"{alt}; {scores}.")


def _weight_rows(evidence: Evidence, drawn: Sequence[int]) -> list[tuple[str, np.ndarray]]:
    """Name and (frames,) values of each row of weights: of a few groups and their mean, or of the drawn classes."""
    weights, rows = evidence.weights, []
    if weights is not None:
        mean, title = evidence.mean_weights, evidence.title
        if weights.shape[2] > 1 and drawn:
            columns = [evidence.classes.index(label) for label in drawn]
            rows = [(shorten(evidence.names[at]), weights[:, :, at].mean(axis=1)) for at in columns]
        elif 1 < len(evidence.groups) <= DRAWN_GROUPS:
            rows = [(name, weights[:, at].mean(axis=1)) for at, name in enumerate(evidence.groups)]
            rows += [("mean", mean)]
        else:
            rows = [(f"mean of {len(evidence.groups)}" if len(evidence.groups) > 1 else "", mean)]
        rows = [(f"{title}: {name}" if name else title, values) for name, values in rows]
    if evidence.rollout is not None:
        rows.append(("Attention rollout (Abnar and Zuidema 2020)", evidence.rollout))
    return rows


def _in_bars(values: np.ndarray, edges: np.ndarray, farthest: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """(frames, …) values and edges of at most so many bars: each is the value farthest from 0, or the mean."""
    starts = np.arange(0, len(values), max(1, -(-len(values) // MAX_BARS)))
    if len(starts) < len(values):
        edges = np.append(edges[starts], edges[-1])
        if not farthest:
            counts = np.diff([*starts, len(values)])[:, None]
            return np.add.reduceat(values, starts) / counts, edges
        high, low = np.maximum.reduceat(values, starts), np.minimum.reduceat(values, starts)
        values = np.where(high >= -low, high, low)
    return values, edges


def _draw_bars(ax, values: np.ndarray, edges: np.ndarray, *, color: str) -> None:
    """One bar a frame; where there are too many, one for several."""
    edge = PAPER if len(values) < 120 else color
    ax.stairs(*_in_bars(values, edges), fill=True, facecolor=color, edgecolor=edge, linewidth=0.4)
    ax.axhline(0, color=INK, linewidth=0.8)


def _draw_weights(ax, values: np.ndarray, edges: np.ndarray, title: str) -> None:
    _draw_bars(ax, values, edges, color=UP)
    ax.axhline(1 / len(values), color=INK, linewidth=1, linestyle="--", label="uniform")
    ax.set_title(title, size=9)
    ax.set(ylabel="weight", ylim=(0, values.max() * 1.1 or 1))


def _draw_assignment(ax, values: np.ndarray, edges: np.ndarray) -> None:
    """The soft assignment of frames to clusters as shades, with a colour bar."""
    shares, edges = _in_bars(values, edges, farthest=False)
    rows = np.arange(values.shape[1] + 1) + 0.5
    mesh = ax.pcolormesh(edges, rows, shares.T, vmin=0, vmax=max(float(shares.max()), 1e-9), rasterized=True)
    ax.set_title("assignment of frames to clusters (share of each)", size=9)
    ax.set_ylabel("cluster")
    bar = ax.figure.colorbar(mesh, cax=ax.inset_axes([1.01, 0, 0.015, 1]))
    bar.outline.set_visible(False)


def _draw_truth(ax, evidence: Evidence) -> None:
    """The frames that made some labels, above a row of bars, and the legend."""
    names = dict(zip(evidence.classes, evidence.names, strict=True))
    truth = [(k, made) for k, made in evidence.ground_truth.items() if 0 < made.mean() < 0.9][:DRAWN_CLASSES]
    (low, top), _ = ax.get_ylim(), len(truth)
    for row, (label, made) in enumerate(truth):
        height = np.full(made.sum(), top + (top - low) * (0.04 + 0.18 * row))
        name = f"ground truth: {shorten(names.get(label, label), 20)}"
        ax.plot(evidence.times[made], height, "|s^"[row], color=TRUTH, markersize=6, label=name)
    # The legend is above all that is drawn; narrow, it is a column.
    columns, above = (1, 0.25 * (len(truth) + 1)) if is_narrow() else (4, 0.3)
    ax.set_ylim(low, top + (top - low) * (0.18 * len(truth) + above))
    if ax.get_legend_handles_labels()[0]:
        ax.legend(loc="upper right", ncols=columns, columnspacing=1, handlelength=1.5, **LEGEND)


def _draw_signals(ax, evidence: Evidence) -> None:
    for color, (name, energy) in zip((UP, DOWN, TRUTH) * 9, evidence.energy.items(), strict=False):
        for what, values, line in (("energy", energy, "-"), ("change", evidence.change.get(name), ":")):
            if values is not None:
                share = values / max(float(values.max()), 1e-12)
                ax.plot(evidence.times, share, color=color, linestyle=line, label=f"{name}: {what}")
    if evidence.energy:
        ax.set_title("features, each relative to its maximum", size=9)
        ax.legend(loc="lower right", ncols=2 if is_narrow() else 4, **LEGEND)


def paragraphs(*lines: str) -> str:
    """Texts as HTML."""
    return "".join(f"<p>{html.escape(line)}</p>" for line in lines if line)
