"""What a notebook keeps of a view for readers without a kernel: the whole scene, a picture, a table, words."""

from __future__ import annotations

import base64
from pathlib import Path

from dmlkit.explorer.drawing import element, page, sentence
from dmlkit.explorer.evidence import scene

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

    plot = still(explorer.evidence[0], frame=explorer.frame, classes=explorer.classes)
    words, png = say_evidence(explorer.evidence[0]), base64.b64encode(plot.png()).decode("ascii")
    picture = element(
        "img", {"src": f"data:image/png;base64,{png}", "alt": plot.alt, "style": "max-width: 100%"}
    )
    title = f"{explorer.source.title} on {explorer.source.data}. {explorer.source.videos[explorer.video]}"
    return {
        MIME: _scene(explorer),
        "text/html": page(
            sentence(title),
            picture,
            sentence(words),
            sentence(
                "Open this notebook in JupyterLab and run it to mask and remove frames and to choose videos."
            ),
        ),
        "image/png": png,
        "text/plain": f"{title}\n{words}",
    }


def _scene(explorer) -> dict:
    """The chosen video and those after it, and how the view stands."""
    ids = list(explorer.source.videos)
    place = ids.index(explorer.video)
    kept = (ids[place:] + ids[:place])[: explorer.keep]
    videos = {}
    for name in kept:
        videos[name] = explorer.evidence if name == explorer.video else explorer._look(name)
    said = scene(videos, **explorer._head(live=False))
    names = ("frame", "masked", "temperature", "top", "uniform", "classes", "shown")
    said["state"] = {name: getattr(explorer._widget, name) for name in names}
    return said
