"""Tables of classes with their scores, as HTML."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd

from dmlkit.explorer.drawing import cut, element, escape, sentence
from dmlkit.metrics import top_k_pairs

# How classes can be ordered: name → the key of a table of average precisions, the smallest first.
ORDERS = {
    "the largest difference": lambda table: table.iloc[:, 2:].min(axis=1) - table.iloc[:, 2:].max(axis=1),
    "the hardest": lambda table: table.iloc[:, 2:].mean(axis=1),
    "most videos": lambda table: -table["videos"],
    "name": lambda table: table["name"].str.casefold(),
}


def top_classes(
    scores: np.ndarray, *, names: Sequence[str], true: Collection[int] | None, top_k: int
) -> pd.DataFrame:
    """A video's highest-scoring classes, and below them the true ones that are not among these.

    Args:
        scores: (classes,).
        names: Of the classes.
        true: The video's labels; None where they are not known.
        top_k: How many classes.

    Returns:
        A row a class, by rank: `class`, `name`, `score`, `true`, the rank (from 1) as index.
    """
    ranked = top_k_pairs(scores[None], scores.size).classes[0]
    true = set(true or ())
    shown = [(rank, label) for rank, label in enumerate(ranked.tolist(), 1) if rank <= top_k or label in true]
    rows = [(label, names[label], float(scores[label]), label in true) for _, label in shown]
    index = pd.Index([rank for rank, _ in shown], name="rank")
    return pd.DataFrame(rows, index=index, columns=["class", "name", "score", "true"])


def top_classes_table(table: pd.DataFrame, *, caption: str) -> str:
    """What `top_classes` gives as HTML: true labels are ticked and bold, each score has its bar."""
    head = "".join(
        element("th", attributes, text)
        for attributes, text in (
            ({"class": "number"}, "#"),
            ({}, element("abbr", {"title": "true label"}, "✓")),
            ({}, "class"),
            ({"class": "number"}, "score"),
            ({"style": "width: 22%"}, ""),
        )
    )
    rows = "".join(
        element(
            "tr",
            {"class": "true" if row.true else "other"},
            element("td", {"class": "number"}, str(row.Index))
            + element("td", {"title": "true label"} if row.true else {}, "✓" if row.true else "")
            + element("td", {"class": "name"}, cut(row.name))
            + element("td", {"class": "number"}, f"{row.score:.3f}")
            + element("td", {}, share_bar(row.score)),
        )
        for row in table.itertuples()
    )
    title = element("p", {"class": "caption"}, cut(caption, 120))
    return element(
        "div",
        {"class": "scroll"},
        title
        + element("table", {}, element("thead", {}, element("tr", {}, head)) + element("tbody", {}, rows)),
    )


def precision_table(table: pd.DataFrame, *, order: str, rows: int, caption: str) -> str:
    """Average precisions by class as HTML, each with its bar.

    Args:
        table: A row a class: `name`, `videos`, and a column a run.
        order: A name in `ORDERS`.
        rows: How many classes are shown.
        caption: What stands above.
    """
    runs = list(table.columns[2:])
    if table.empty or not runs:
        return sentence("The chosen runs have no videos in common.")
    shown = table.loc[ORDERS[order](table).sort_values(kind="stable").index[:rows]]
    difference = len(runs) == 2
    heads = [
        ("", "class"),
        *(("", run) for run in runs),
        *([("number", "difference")] * difference),
        ("number", "videos"),
    ]
    head = "".join(element("th", {"class": kind}, cut(text)) for kind, text in heads)
    lines = []
    for row in shown.itertuples(index=False):
        values = row[2:]
        cells = [element("td", {"class": "name"}, cut(row[0]))]
        cells += [element("td", {}, f"{value:.3f}" + share_bar(value)) for value in values]
        if difference:
            cells.append(element("td", {"class": "number"}, f"{values[1] - values[0]:+.3f}"))
        cells.append(element("td", {"class": "number"}, f"{row[1]:,}"))
        lines.append(element("tr", {}, "".join(cells)))
    body = element("thead", {}, element("tr", {}, head)) + element("tbody", {}, "".join(lines))
    title = element("p", {"class": "caption"}, escape(f"{caption}: {len(shown)} of {len(table)} classes"))
    return element("div", {"class": "scroll"}, title + element("table", {}, body))


def share_bar(share: float) -> str:
    """A bar of a share between 0 and 1; nothing for what is not a number."""
    if not np.isfinite(share):
        return ""
    width = f"{100 * min(max(share, 0.0), 1.0):.1f}%"
    return element(
        "svg",
        {"width": "100%", "height": 9, "aria-hidden": "true"},
        element("rect", {"class": "bar", "width": width, "height": 9}),
    )
