"""Tables for notebooks: numbers one can read, text that cannot break the page."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from html import escape

import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler

from dmlkit.plots.given import as_rows, called, headed
from dmlkit.text import one_line, shorten

PAPER = "paper's GAP@20 (its own data)"

_LOOK = [
    {"selector": "th, td", "props": "padding: 0.25em 0.5em; vertical-align: top;"},
    {"selector": "th", "props": "font-weight: 600;"},
    {"selector": "th.col_heading", "props": "text-align: right; vertical-align: bottom; max-width: 8em;"},
    {"selector": "th.row_heading", "props": "text-align: left; white-space: nowrap; font-weight: 400;"},
    {
        "selector": "td",
        "props": "text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums;",
    },
    {
        "selector": "caption",
        "props": "caption-side: top; text-align: left; padding: 0 0 0.5em; font-weight: 600;",
    },
    {"selector": "caption span", "props": "display: block; font-weight: 400; font-size: 90%;"},
]


class Table(Styler):
    """A styled table that is text where no page can be shown: a row a line, the same from one process to the next."""

    said = ""  # its caption and notes

    def __repr__(self) -> str:
        lines = [" | ".join(["", *map(str, self.columns)]).strip()] if any(self.columns) else []
        for name, *values in self.data.itertuples(name=None):
            lines.append(" | ".join([str(name), *(str(value) for value in values)]))
        return "\n".join([self.said, *lines])


def table(rows: pd.DataFrame | list[dict], dataset=None, *, title: str = "The ladder") -> Table:
    """The ladder, or what stands beside it: a row a rung, measures, cost, and the paper's figure apart.

    Args:
        rows: `study.ladder()`, `study.beside()` or `study.results(...)`.
        dataset: The data set, to say what data it was.
        title: Over the table.
    """
    rows = as_rows(rows)
    shown = pd.DataFrame(
        {
            "GAP@20": [_number(value, "{:.4f}") for value in rows["gap"]],
            "95 % interval": [
                _interval(low, high) for low, high in zip(rows["gap_low"], rows["gap_high"], strict=True)
            ],
            "mAP": [_number(value, "{:.4f}") for value in rows["map"]],
            "Hit@1": [_number(value, "{:.4f}") for value in rows["hit_at_one"]],
            "PERR": [_number(value, "{:.4f}") for value in rows["perr"]],
            "parameters": [_number(value, "{:,.0f}") for value in rows["parameters"]],
            "training": [_number(value, "{:,.1f} s") for value in rows["training_seconds"]],
            PAPER: [_number(value, "{:.5f}") for value in rows["paper_gap"]],
        },
        index=_unique(rows["title"]),
    )
    notes = [
        f"{shorten(row['title'], 60)}: {note}." for row in rows.to_dict("records") if (note := _note(row))
    ]
    return _styled(shown, headed(title, dataset), notes)


def everything(rows: pd.DataFrame | list[dict], dataset=None, *, title: str = "Every rung") -> Table:
    """Every rung that is trained, the highest GAP first: measures, size, seconds an epoch, videos scored a second.

    Args:
        rows: `training.everything(study)`.
        dataset: The data set, to say what data it was.
        title: Over the table.
    """
    every = as_rows(rows)
    trained = every.dropna(subset=["gap"]).sort_values("gap", ascending=False, kind="stable")
    shown = pd.DataFrame(
        {
            "part": list(trained["part"].fillna("ladder")),
            "GAP@20": [_number(value, "{:.4f}") for value in trained["gap"]],
            "95 % interval": [
                _interval(low, high)
                for low, high in zip(trained["gap_low"], trained["gap_high"], strict=True)
            ],
            "mAP": [_number(value, "{:.4f}") for value in trained["map"]],
            "parameters": [_number(value, "{:,.0f}") for value in trained["parameters"]],
            "an epoch": [_number(value, "{:,.1f} s") for value in trained["seconds_an_epoch"]],
            "videos/s": [_number(value, "{:,.0f}") for value in trained["videos_per_second"]],
        },
        index=_unique(map(called, trained.to_dict("records"))),
    )
    missing = [shorten(called(row), 60) for row in every[every["gap"].isna()].to_dict("records")]
    notes = [f"Not trained: {'; '.join(missing)}."] if missing else []
    # A recipe's own conditions may name other videos; a GAP over those says little beside the others'.
    scored = trained["videos"].dropna()
    others = trained[scored.ne(scored.mode().min()).reindex(trained.index, fill_value=False)]
    notes += [
        f"Scored on {row['videos']:,.0f} videos, unlike the others, and not to be compared with them: {called(row)}."
        for row in others.to_dict("records")
    ]
    return _styled(shown, headed(title, dataset), notes, texts=[0], longest=38)


def numbers(frame: pd.DataFrame, dataset=None, *, title: str, digits: int = 4) -> Table:
    """Any table of numbers: floats with so many digits, whole numbers with thousands, text escaped.

    Args:
        frame: The table.
        dataset: The data set, to say what data it was.
        title: Over the table.
        digits: Of floats.
    """
    shown = frame.apply(lambda column: column.map(lambda value: _any(value, digits)))
    shown.index = _unique(frame.index)
    texts = [place for place in range(frame.shape[1]) if frame.iloc[:, place].map(type).eq(str).any()]
    notes = [] if len(frame) else ["There is nothing to show here."]
    return _styled(shown, headed(title, dataset), notes, texts=texts)


def _styled(
    shown: pd.DataFrame,
    caption: str,
    notes: Sequence[str] = (),
    texts: Sequence[int] = (),
    longest: int = 60,
) -> Table:
    caption, notes = one_line(caption), [one_line(note) for note in notes]
    # A name that follows from the table keeps a notebook's output the same from one execution to the next.
    styler = Table(shown if len(shown.columns) else pd.DataFrame(index=shown.index, columns=[""]))
    styler.said = "\n".join([caption, *notes])
    styler = (
        styler.format(_cut, na_rep="–")
        .format_index(partial(_cut, longest=longest))
        .format_index(_cut, axis=1)
    )
    left = [
        {"selector": f"td.col{place}, th.col_heading.col{place}", "props": "text-align: left;"}
        for place in texts
    ]
    slug = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in caption.lower())
    return (
        styler.set_caption(escape(caption) + "".join(f"<span>{escape(note)}</span>" for note in notes))
        .set_table_styles([*_LOOK, *left])
        .set_table_attributes('class="dmlkit-table"')
        .set_uuid(f"dmlkit-{slug}")
    )


def _note(row: dict) -> str:
    if row["status"] == "trained" or not isinstance(row["status"], str):
        return ""
    return (
        f"{row['status']}: {row['reason']}"
        if isinstance(row["reason"], str) and row["reason"]
        else row["status"]
    )


def _number(value: float, pattern: str) -> str:
    return "–" if np.isnan(value) else pattern.format(value)


def _interval(low: float, high: float) -> str:
    return "–" if np.isnan(low) else f"{low:.3f} to {high:.3f}"


def _any(value, digits: int) -> str:
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, float | np.floating):
        return "–" if np.isnan(value) else f"{value:.{digits}f}"
    return one_line(value)


def _cut(text: str, longest: int = 60) -> str:
    """Text as markup; what is too long for a cell is cut, and shown in full when pointed at."""
    whole = one_line(text)
    short = escape(shorten(whole, longest))
    return short if len(whole) <= longest else f'<span title="{escape(whole)}">{short}</span>'


def _unique(names) -> list[str]:
    """The names as lines; a styler needs them to differ."""
    seen: dict[str, int] = {}
    unique = []
    for name in map(one_line, names):
        seen[name] = seen.get(name, 0) + 1
        unique.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return unique
