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
from dmlkit.plots.style import COLORS, INK, PAPER, Plot, canvas, is_narrow, plotted

VIEW = Path(__file__).with_name("attention_view")
IMPORT = re.compile(r'(?ms)^import \{[^}]*\} from "\./(\w+)\.js";\n')
# Comments that have their own lines, indentation and blank lines; no text of the modules goes over a line's end.
ASIDE = re.compile(r"(?m)^[ \t]*(?:/\*\*[\s\S]*?\*/\n|//.*\n)|^[ \t]+|^\n")
# A scene, from which a report draws the same view without a kernel.
MIME = "application/vnd.dmlkit.attention+json"
UP, DOWN, TRUTH = COLORS[0], COLORS[1], COLORS[3]
LEGEND = {"fontsize": 8, "frameon": True, "framealpha": 0.85, "facecolor": PAPER, "edgecolor": "none"}
LISTED_CLASSES, MAX_BARS = 8, 600


def join_modules(entry: str) -> str:
    """A JavaScript module of `attention_view` with all that it imports, as one text for a page or a widget.

    Each module follows those that it imports, without import and export lines of its own: their names are distinct.
    Comments and indentation are left out, a sixth of the size that every page would carry.
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
    return ASIDE.sub("", "\n".join(joined.values()))


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
    note = f"{drawn} {settings}".strip()
    seconds = explorer.evidence[0].times[explorer.frame : explorer.frame + 1]
    frame = int(np.abs(evidence.times - seconds).argmin()) if len(seconds) and evidence.frames else None
    plot = still_picture(evidence, frame=frame, classes=explorer.classes, note=note)
    lines = [title, *filter(None, [source.note, note])]
    hint = "Run this notebook in JupyterLab to mask and remove frames and to choose videos."
    return {
        MIME: saved_scene(explorer),
        "text/html": paragraphs(*lines) + plot.markup() + paragraphs(hint),
        "image/png": base64.b64encode(plot.png()).decode("ascii"),
        "text/plain": "\n".join([*lines, plot.alt]),
    }


def saved_scene(explorer) -> dict:
    """The chosen video and those after it with the view's settings, but for those that take the model."""
    ids, state = list(explorer.source.videos), explorer.state
    ids = (ids[ids.index(explorer.video) :] + ids)[: min(explorer.keep, len(ids))]
    by_model = {"removed": len(explorer.removed), "muted": sum(map(len, explorer.muted.values()))}
    # Masked frames stay where the arrays of a run that is drawn determine its scores without them.
    if not any(each.reweightable for each in explorer.evidence if each.run in explorer.shown):
        by_model["masked"] = len(explorer.masked)
    restored = " and ".join(counted(count, f"{name} frame") for name, count in by_model.items() if count)
    note = f"Saved with {restored}, which are restored here: that takes the model." if restored else None
    state |= {name: type(state[name])() for name in by_model}
    if explorer.chosen_classes is None:
        del state["classes"]  # each video shows its own
    return explorer.scene_of(ids, live=False, note=note) | {"state": state}


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
        fixed = encoded.terms is not None and weights is not encoded.weights
        text = f"Settings: {changes}.{' The terms are those of the own weights.' * fixed}"
        return replace(encoded, weights=weights, logits=None, scores=scores), text
    drawn = {"weights": weights.mean(axis=2, keepdims=True)}
    drawn |= dict.fromkeys(("logits", "contributions", "biases", "terms", "gap"))
    drawn |= dict.fromkeys(("classes", "names", "scores", "term_classes"), ())
    return replace(encoded, **drawn), f"Settings: {changes}. The scores under them need the model."


def terms_by_modality(
    evidence: Evidence, weights: np.ndarray | None
) -> tuple[np.ndarray | None, tuple, tuple]:
    """(frames, modalities, classes) the terms drawn under `weights`, names of the modalities, and the classes.

    Contributions are weighted and summed over groups; other terms are as they are. The name is "" where they are not
    split; there are no classes where nothing is known.
    """
    values = weighted_terms(weights, evidence.contributions, evidence.parts)
    if values is None:
        return evidence.terms, evidence.term_modalities, evidence.term_classes
    of = np.array([modality or "" for _, modality in evidence.parts])
    names = tuple(dict.fromkeys(of.tolist()))
    return np.stack([values[:, of == name].sum(axis=1) for name in names], axis=1), names, evidence.classes


def frame_weights(evidence: Evidence, weights: np.ndarray, label: int | None) -> np.ndarray:
    """(frames,) the mean of `weights` over groups; a class's own where each class has weights of its own."""
    own = weights.shape[2] > 1 and label in evidence.classes
    return (weights[..., evidence.classes.index(label), None] if own else weights).mean(axis=(1, 2))


@plotted
def still_picture(
    evidence: Evidence, *, classes: Sequence[int], frame: int | None = None, note: str = ""
) -> Plot:
    """Weights over time, what each frame adds to some classes, and the features' energy; `frame` is marked.

    Of several groups of weights the mean is drawn, of several modalities the sum; where classes have weights of their
    own, those of the first one.
    """
    true, drawn = evidence.true or (), [each for each in classes if each in evidence.classes][:DRAWN_CLASSES]
    scored = zip(evidence.classes, evidence.names, evidence.scores, strict=True)
    named = {label: f"{shorten(name)} {score:.3f}{' ✓' * (label in true)}" for label, name, score in scored}
    ranked = np.array(evidence.classes, int)[np.argsort(-evidence.scores, kind="stable")[:LISTED_CLASSES]]
    scores = f"scores (✓ true label): {', '.join(named[label] for label in ranked) or 'not known'}"
    weights = _weight_rows(evidence, drawn)
    terms, _, explained = terms_by_modality(evidence, evidence.weights)
    columns = {label: explained.index(label) for label in drawn if label in explained}
    made = {label: row for label, row in evidence.ground_truth.items() if 0 < row.sum() < 0.9 * len(row)}
    truth = list(made.items())[:DRAWN_CLASSES]
    strip, signals = evidence.assignment is not None, bool(evidence.energy or truth)
    rows = max(1, len(weights) + strip + len(columns) + signals)
    title = f"{shorten(evidence.run, 40)} on {shorten(evidence.video, 40)}"
    figure, axes = canvas(title, None, rows, sharex=True, width=8.5, height=1.4 + 1.3 * rows)
    none = f"{evidence.title}." if evidence.weights is None else ""
    text = [line for each in (none, scores, note) for line in textwrap.wrap(shorten(each, 330), 110)]
    figure.supxlabel("\n".join(text), x=0.01, ha="left", size=9)
    alt = f"{note} {evidence.run} on video {evidence.video}: {evidence.frames} frames".strip()
    if not evidence.frames:
        return Plot(figure, f"{alt}; {scores}.")
    times, places = evidence.times.astype(np.float64), iter(axes)
    half = np.median(np.diff(times)) / 2 if len(times) > 1 else 0.5
    edges = np.array([times[0] - half, *(times[1:] + times[:-1]) / 2, times[-1] + half])
    for name, values in weights.items():
        top, ax = int(values.argmax()), next(places)
        alt += f", {name}: highest weight {values[top]:.3f} at frame {top + 1} ({times[top]:g} s)"
        _draw_bars(ax, values, edges, color=UP)
        ax.axhline(1 / len(values), color=INK, linewidth=1, linestyle="--")
        ax.set_title(f"{name} (dashed: uniform)", size=9)
        ax.set(ylabel="weight", ylim=(0, values.max() * 1.1 or 1))
    if strip:  # as shades, with a colour bar
        ax, clusters = next(places), np.arange(evidence.assignment.shape[1] + 1) + 0.5
        mesh = ax.pcolormesh(edges, clusters, evidence.assignment.T, vmin=0, rasterized=True)
        ax.set_title("assignment of frames to clusters (share of each)", size=9)
        ax.set_ylabel("cluster")
        figure.colorbar(mesh, cax=ax.inset_axes([1.01, 0, 0.015, 1])).outline.set_visible(False)
    for label, column in columns.items():
        ax = next(places)
        _draw_bars(ax, terms[:, :, column].sum(axis=1), edges, color=DOWN)
        gap = "" if evidence.gap is None else f", completeness gap {evidence.gap[column]:+.2g}"
        ax.set_title(f"{named[label]}: {evidence.terms_title}{gap}", size=9)
        ax.set_ylabel("contribution")
    alike = axes[len(weights) + strip :][: len(columns)]
    limits = [ax.get_ylim() for ax in alike]
    for ax in alike:  # on one scale, so that classes can be compared
        ax.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))
    if signals:
        _draw_signals(next(places), evidence, truth)
    for ax in axes if frame is not None else ():
        ax.axvline(times[frame], color=INK, linewidth=1.2, linestyle=(0, (1, 1.5)))
    dotted = "" if frame is None else "; dotted: the selected frame"
    axes[-1].set(xlabel=f"seconds{dotted}", xlim=edges[[0, -1]])
    return Plot(figure, f"{', '.join(filter(None, [alt, none.rstrip('.')]))}; {scores}.")


def _weight_rows(evidence: Evidence, drawn: Sequence[int]) -> dict[str, np.ndarray]:
    """Name → (frames,) values of the rows of weights: those of the first class drawn, or of all; a rollout."""
    rows = {}
    if evidence.weights is not None:
        count, label = len(evidence.groups), next(iter(drawn), None)
        own = evidence.weights.shape[2] > 1 and drawn
        of = [shorten(evidence.names[evidence.classes.index(label)])] if own else []
        of += [f"mean of {count}"] if count > 1 else []
        rows[": ".join([evidence.title, *of])] = frame_weights(evidence, evidence.weights, label)
    if evidence.rollout is not None:
        rows["Attention rollout (Abnar and Zuidema 2020)"] = evidence.rollout
    return rows


def _draw_bars(ax, values: np.ndarray, edges: np.ndarray, *, color: str) -> None:
    """One bar a frame; where there are too many, one for several, the value farthest from 0."""
    edge = PAPER if len(values) < 120 else color
    starts = np.arange(0, len(values), max(1, -(-len(values) // MAX_BARS)))
    high, low = np.maximum.reduceat(values, starts), np.minimum.reduceat(values, starts)
    values, edges = np.where(high >= -low, high, low), np.append(edges[starts], edges[-1])
    ax.stairs(values, edges, fill=True, facecolor=color, edgecolor=edge, linewidth=0.4)
    ax.axhline(0, color=INK, linewidth=0.8)


def _draw_signals(ax, evidence: Evidence, truth: list[tuple[int, np.ndarray]]) -> None:
    """The features of each modality, and above them the frames that made some labels."""
    for color, (name, energy) in zip((UP, DOWN, TRUTH) * 9, evidence.energy.items(), strict=False):
        for what, values, line in (("energy", energy, "-"), ("change", evidence.change.get(name), ":")):
            if values is not None:
                share = values / max(float(values.max()), 1e-12)
                ax.plot(evidence.times, share, color=color, linestyle=line, label=f"{name}: {what}")
    names = dict(zip(evidence.classes, evidence.names, strict=True))
    for row, (label, made) in enumerate(truth):
        name = f"ground truth: {shorten(names.get(label, label), 20)}"
        height = np.full(made.sum(), 1.15 + 0.2 * row)
        ax.plot(evidence.times[made], height, "|s^"[row], color=TRUTH, markersize=6, label=name)
    ax.set_title("features, each relative to its maximum" if evidence.energy else "ground truth", size=9)
    # The legend is above all that is drawn; narrow, it has more lines.
    columns = 2 if is_narrow() else 4
    lines = -(-len(ax.get_legend_handles_labels()[0]) // columns)
    ax.set_ylim(0, 1.1 + 0.2 * len(truth) + 0.45 * lines)
    ax.legend(loc="upper right", ncols=columns, columnspacing=1, handlelength=1.5, **LEGEND)


def paragraphs(*lines: str) -> str:
    """Texts as HTML."""
    return "".join(f"<p>{html.escape(line)}</p>" for line in lines if line)
