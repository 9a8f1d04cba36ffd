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
from dmlkit.explorer.evidence import Evidence, weighted_terms
from dmlkit.plots.style import COLORS, INK, PAPER, Plot, canvas, is_narrow, plotted

VIEW = Path(__file__).with_name("attention_view")
IMPORT = re.compile(r'(?ms)^import \{[^}]*\} from "\./(\w+)\.js";\n')
# A scene, from which a report draws the same view without a kernel.
MIME = "application/vnd.dmlkit.attention+json"
UP, DOWN, TRUTH = COLORS[0], COLORS[1], COLORS[3]
LEGEND = {"fontsize": 8, "frameon": True, "framealpha": 0.85, "facecolor": PAPER, "edgecolor": "none"}
DRAWN_CLASSES, LISTED_CLASSES, MAX_BARS = 3, 8, 600


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
    ids, removed = list(source.videos), len(explorer.removed)
    ids = (ids[ids.index(explorer.video) :] + ids)[: min(explorer.keep, len(ids))]
    restored = f"Saved with {removed} removed frames, which are restored here: removing takes the model."
    saved = explorer.scene_of(ids, live=False, note=restored if removed else None)
    names = ["frame", "masked", "temperature", "top", "uniform", "shown"]
    names += ["classes"] * (explorer.chosen_classes is not None)  # else each video shows its own
    values = {name: getattr(explorer, name) for name in names}
    saved["state"] = {name: list(v) if isinstance(v, tuple) else v for name, v in values.items()}
    return {
        MIME: saved,
        "text/html": paragraphs(*lines) + plot.markup() + paragraphs(hint),
        "image/png": base64.b64encode(plot.png()).decode("ascii"),
        "text/plain": "\n".join([*lines, plot.alt]),
    }


def as_shown(explorer, run: int) -> tuple[Evidence, str]:
    """Evidence with the weights and scores that the view shows of the run at a position, and what was changed."""
    full, frames = explorer.evidence[run], {"masked": explorer.masked, "removed": explorer.removed}
    changes = [f"{counted(len(each), 'frame')} {what}" for what, each in frames.items() if each]
    if explorer.top is not None and explorer.top < explorer.frames:
        changes.append(f"top {explorer.top} kept")
    if explorer.uniform:
        changes.append("uniform weights")
    elif explorer.temperature != 1:
        changes.append(f"temperature {explorer.temperature:g}")
    if not changes:
        return full, ""
    changes = ", ".join(changes)
    weights, scores = explorer.state_of(run)
    if weights is None:
        return full, f"With {changes} no frame is left; drawn are the model's own weights and scores."
    encoded = explorer.encoded()[run]
    weights = weights[np.isin(full.times, encoded.times)][:, None, None]
    drawn = {"weights": weights, "logits": None, "scores": scores}
    if scores is not None:
        return replace(encoded, **drawn), f"Settings: {changes}."
    drawn |= dict.fromkeys(("contributions", "biases", "terms"))
    drawn |= dict.fromkeys(("classes", "names", "scores", "term_classes"), ())
    return replace(encoded, **drawn), f"Settings: {changes}. The scores under them need the model."


@plotted
def still_picture(
    evidence: Evidence, *, classes: Sequence[int], frame: int | None = None, note: str = ""
) -> Plot:
    """Weights over time, what each frame adds to some classes, and the features' energy; `frame` is marked."""
    drawn = [evidence.classes.index(label) for label in classes if label in evidence.classes]
    drawn = drawn[:DRAWN_CLASSES] if evidence.contributions is not None or evidence.terms is not None else []
    scored = zip(evidence.classes, evidence.names, evidence.scores, strict=True)
    true = evidence.true or ()
    named = [f"{shorten(name)} {score:.3f}{' ✓' * (label in true)}" for label, name, score in scored]
    ranked = np.argsort(-evidence.scores, kind="stable")[:LISTED_CLASSES]
    scores = f"scores (✓ true label): {', '.join(named[at] for at in ranked) or 'not known'}"
    rows = 1 + len(drawn) + bool(evidence.energy)
    title = f"{shorten(evidence.run, 40)} on {shorten(evidence.video, 40)}"
    size = {"width": 8.5, "height": 1.4 + 1.3 * rows, "height_ratios": [1.5, *[1.0] * (rows - 1)]}
    figure, axes = canvas(title, None, rows, sharex=True, **size)
    text = textwrap.wrap(shorten(scores, 330), 115) + textwrap.wrap(shorten(note, 330), 110)
    figure.supxlabel("\n".join(text), x=0.01, ha="left", size=9)
    alt = f"{note} {evidence.run} on video {evidence.video}: {evidence.frames} frames".strip()
    if evidence.frames:
        weights = evidence.mean_weights
        top, times = int(weights.argmax()), evidence.times.astype(np.float64)
        alt += f", highest weight {weights[top]:.3f} at frame {top + 1} ({times[top]:g} s)"
        half = np.median(np.diff(times)) / 2 if len(times) > 1 else 0.5
        edges = np.array([times[0] - half, *(times[1:] + times[:-1]) / 2, times[-1] + half])
        _draw_weights(axes[0], evidence, edges)
        terms, what = evidence.terms, evidence.terms_title
        if evidence.contributions is not None:
            terms = weighted_terms(evidence, evidence.weights)
        terms = None if terms is None else terms.sum(axis=1)
        for ax, at in zip(axes[1:], drawn, strict=False):
            _draw_bars(ax, terms[:, at], edges, color=DOWN)
            ax.set_title(f"{named[at]}: {what}", size=9)
        _draw_signals(axes[-1], evidence)
        for ax in axes if frame is not None else ():
            ax.axvline(times[frame], color=INK, linewidth=1.2, linestyle=(0, (1, 1.5)))
        dotted = "" if frame is None else "; dotted: the selected frame"
        axes[-1].set(xlabel=f"seconds{dotted}", xlim=edges[[0, -1]])
    return Plot(figure, f"{alt}; {scores}.")


def _draw_bars(ax, values: np.ndarray, edges: np.ndarray, *, color: str) -> None:
    """One bar a frame; where there are too many, one for several, as high as the one farthest from 0."""
    group = -(-len(values) // MAX_BARS)
    if group > 1:
        starts = np.arange(0, len(values), group)
        high, low = np.maximum.reduceat(values, starts), np.minimum.reduceat(values, starts)
        values, edges = np.where(high >= -low, high, low), np.append(edges[starts], edges[-1])
    edge = PAPER if len(values) < 120 else color
    ax.stairs(values, edges, fill=True, facecolor=color, edgecolor=edge, linewidth=0.4)
    ax.axhline(0, color=INK, linewidth=0.8)


def _draw_weights(ax, evidence: Evidence, edges: np.ndarray) -> None:
    _draw_bars(ax, evidence.mean_weights, edges, color=UP)
    ax.axhline(1 / evidence.frames, color=INK, linewidth=1, linestyle="--", label="uniform")
    names = dict(zip(evidence.classes, evidence.names, strict=True))
    truth = [(k, made) for k, made in evidence.ground_truth.items() if 0 < made.mean() < 0.9][:DRAWN_CLASSES]
    for row, (label, made) in enumerate(truth):
        height = np.full(made.sum(), evidence.mean_weights.max() * (1.14 + 0.2 * row))
        name = f"ground truth: {shorten(names.get(label, label), 24)}"
        ax.plot(evidence.times[made], height, "|s^"[row], color=TRUTH, markersize=6, label=name)
    # Narrow, the legend is a column above all that is drawn.
    columns, above = (1, 0.25 * (len(truth) + 1)) if is_narrow() else (4, 0)
    ax.set(ylabel="weight", ylim=(0, evidence.mean_weights.max() * (1.1 + 0.2 * len(truth) + above)))
    ax.legend(loc="upper right", ncols=columns, **LEGEND)


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
