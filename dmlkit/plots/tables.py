"""Tables for notebooks: readable numbers, with text that cannot break the page."""

from collections.abc import Iterable, Mapping
from functools import partial
from html import escape

import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler

from dmlkit.errors import one_line, shorten
from dmlkit.experiments import baseline_of, find
from dmlkit.metrics import FOR_THIS_SEED, OVER_SEEDS, too_few
from dmlkit.plots.style import heading, plotted, with_data
from dmlkit.runs import to_frame

Results = pd.DataFrame | list[dict]  # rows of `Study`, as a table or as they are in `results.json`
FORMATS = {
    "part": "{}", "gap": "{:.4f}", "interval": "{}", "range": "{}", "map": "{:.4f}", "hit_at_one": "{:.4f}",
    "perr": "{:.4f}", "parameters": "{:,.0f}", "seconds_an_epoch": "{:,.1f}", "videos": "{:,.0f}",
    "paper_gap": "{:.5f}",
}  # fmt: skip
NUMBERS = [name for name in FORMATS if name not in ("part", "interval", "range")]
NUMBERS += ["gap_low", "gap_high", "gap_min", "gap_max", "seeds"]

_STYLES = [
    {"selector": "th, td", "props": "padding: 0.25em 0.5em;"},
    {"selector": "tbody > *", "props": "vertical-align: top;"},
    {"selector": "th", "props": "font-weight: 600;"},
    {"selector": "th.col_heading", "props": "text-align: right; vertical-align: bottom; max-width: 8em;"},
    {"selector": "th.row_heading", "props": "text-align: left; white-space: nowrap; font-weight: 400;"},
    {"selector": "td", "props": "text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums;"},
    {"selector": "caption", "props": "caption-side: top; text-align: left; padding: 0 0 0.5em; font-weight: 600;"},
    {"selector": "caption span", "props": "display: block; font-weight: 400; font-size: 90%;"},
]  # fmt: skip


class Table(Styler):
    """A styled table; plain text where HTML cannot be shown, one line a row."""

    heading = ""  # its caption and notes

    def __repr__(self) -> str:
        rows = [["", *self.columns]] if any(self.columns) else []
        rows += [list(row) for row in self.data.itertuples(name=None)]
        return "\n".join([self.heading, *(" | ".join(map(str, row)).strip() for row in rows)])


def as_runs(runs) -> list:
    """The runs in a mapping, an iterable, or alone, without None."""
    if isinstance(runs, Mapping):
        runs = runs.values()
    elif not isinstance(runs, Iterable):
        runs = [runs]
    return [run for run in runs if run is not None]


def result_rows(results: Results, *, short_titles: bool = False) -> pd.DataFrame:
    """The rows of `study.ladder()`, `study.ablations()` or `study.results()`: numbers as floats, titles as a column."""
    columns = ["name", "title", "status", "reason", "experiment", "part", *NUMBERS]
    is_frame = isinstance(results, pd.DataFrame)
    frame = results.reset_index().reindex(columns=columns) if is_frame else to_frame(results, columns=columns)
    for name in NUMBERS:
        frame[name] = pd.to_numeric(frame[name], errors="coerce").astype(float)
    over = np.where(frame["seeds"] > 1, OVER_SEEDS, FOR_THIS_SEED)
    frame["over"] = pd.Series(over, dtype=object).where(frame["gap"].notna())
    if short_titles:
        frame["title"] = [_short_title(row) for row in frame.to_dict("records")]
    return frame


def _short_title(row: Mapping) -> str:
    """A row's title; of a training trick, the trick first and its baseline in brackets."""
    experiment = row["experiment"]
    if not isinstance(experiment, Mapping) or not experiment.get("trick"):
        return row["title"]
    base = find(baseline_of(row["name"])).title
    return f"{row['title'].removeprefix(f'{base}, ')} ({base})"


def intervals_over(rows: pd.DataFrame) -> str:
    """What the intervals of some rows are over, from their column `over`."""
    kinds = list(dict.fromkeys(rows["over"].dropna())) or [FOR_THIS_SEED]
    seeds = "and over seeds where there are several" if OVER_SEEDS in kinds else "for these seeds"
    return kinds[0] if len(kinds) == 1 else f"over videos, {seeds}"


def of_seed(title: str, runs) -> str:
    """The title of what shows one seed's runs alone where there are several seeds."""
    several = [run for run in as_runs(runs) if run.siblings]
    return f"{title}, seed {several[0].record['seed']}" if several else title


def absence(row: Mapping) -> str:
    """Why a row has no numbers: its status, and the reason where there is one; empty where it has them."""
    if row["status"] == "trained" or not isinstance(row["status"], str):
        return ""
    return f"{row['status']}: {row['reason']}" if isinstance(row["reason"], str) else row["status"]


def table(results: Results, dataset=None, *, title: str = "The ladder") -> Table | None:
    """Experiments with their metrics and cost, and the paper's figure in a column of its own."""
    rows = result_rows(results)
    records = rows.to_dict("records")
    notes = [f"{shorten(row['title'], 60)}: {absence(row)}." for row in records if absence(row)]
    sizes = ("parameters", "seconds_an_epoch", "paper_gap")
    columns = ("gap", "range", "interval", "map", "hit_at_one", "perr", *sizes)
    return _results(rows, columns, with_data(title, dataset), notes)


def all_results(results: Results, dataset=None, *, title: str = "All experiments") -> Table | None:
    """Every trained experiment, the highest GAP@20 first: its group, metrics, size and speed."""
    rows = result_rows(results, short_titles=True)
    missing = [shorten(name, 60) for name in rows["title"][rows["gap"].isna()]]
    notes = [f"Not trained: {'; '.join(missing)}."] if missing else []
    rows = rows.dropna(subset=["gap"]).sort_values("gap", ascending=False, kind="stable")
    if rows["videos"].nunique() > 1:  # a recipe's own settings may lift the caps
        notes.append("The validation videos differ (last column): compare only rows with the same number.")
    columns = ("part", "gap", "range", "interval", "map", "parameters", "seconds_an_epoch", "videos")
    return _results(rows, columns, with_data(title, dataset), notes, texts=[0], longest=38)


def _results(rows: pd.DataFrame, columns, caption: str, notes: list[str], **look) -> Table | None:
    if rows.empty:
        return None
    several = bool(rows["seeds"].notna().any())
    notes = [*notes, f"95 % CI {intervals_over(rows)}."]
    notes += ["Means over the seeds, with the lowest and the highest."] if several else []
    notes += [f"{few.capitalize()}."] if (few := too_few(rows["videos"].min())) else []
    interval = rows["gap_low"].map("{:.3f} to ".format) + rows["gap_high"].map("{:.3f}".format)
    seeds = rows["gap_min"].map("{:.4f} to ".format) + rows["gap_max"].map("{:.4f}".format)
    rows = rows.assign(
        part=rows["part"].fillna("ladder"),
        interval=interval.where(rows["gap_low"].notna()),
        range=(seeds + rows["seeds"].map(" (of {:.0f})".format)).where(rows["seeds"].notna()),
    )
    shown = {}
    for column in [each for each in columns if several or each != "range"]:
        cells = ["–" if pd.isna(value) else FORMATS[column].format(value) for value in rows[column]]
        shown[heading(column)] = cells
    return _styled(_named(pd.DataFrame(shown), rows["title"]), caption, notes, **look)


@plotted
def numbers(
    frame: pd.DataFrame, dataset=None, *, title: str, digits: int = 4, searchable: bool = False
) -> Table | None:
    """Any table of numbers: floats with a fixed number of digits, whole numbers with thousands, text escaped.

    In a report's page a searchable one has a search box, and is sorted by the headings of its columns.
    """
    shown = frame.apply(lambda column: column.map(lambda value: _cell(value, digits)).astype(object))
    shown.columns = [heading(name) for name in frame.columns]
    texts = [place for place in range(frame.shape[1]) if frame.iloc[:, place].map(type).eq(str).any()]
    notes = [f"95 % CI {FOR_THIS_SEED}."] if {"from", "gap_low"} & {*frame.columns} else []
    shown.columns.name = frame.index.name  # in the heading of the rows
    look = {"texts": texts, "searchable": searchable}
    return _styled(_named(shown, frame.index), with_data(title, dataset), notes, **look)


def data_summary(dataset, profile=None) -> Table:
    """What the data are: origin, level, modalities, classes, and videos in each split with the profile's caps."""
    caps = {} if profile is None else profile.caps
    rows = {"name": shorten(dataset.name, 60), "level": dataset.level, "classes": f"{dataset.num_classes:,}"}
    for name, feature in dataset.features.items():
        kind = "values per frame" if dataset.level == "frame" else "values per video"
        rows[f"modality {name}"] = f"{feature.size:,} {kind if feature.in_frames else 'hashed tokens'}"
    for split in ("train", "tuning", "validate", "test"):
        if split in dataset.splits:
            videos, cap = dataset.num_videos(split), caps.get(split)
            capped = cap is not None and cap < videos
            used = f" ({cap:,}, of a sample of shards, used by profile {profile.name})" if capped else ""
            rows[f"videos, {split}"] = f"{videos:,}{used}"
    if profile is not None and dataset.level == "frame" and profile.max_frames:
        rows["frames per video"] = f"at most {profile.max_frames} ({profile.frame_choice})"
    generated = ["GENERATED DATA: no number measured on them says anything about real videos."]
    notes = [*(generated if dataset.generated else ()), *dataset.notes]
    return _styled(pd.Series(rows).to_frame(""), with_data("The data", dataset), notes, texts=[0])


def settings(profile) -> Table:
    """The training settings that all experiments share, of a `Profile`."""
    rows = {
        "input normalization": profile.normalization,
        "encoder": f"{profile.layers} × {profile.units} units per direction",
        "dropout": f"{profile.dropout:g}",
        "optimizer": f"Adam, learning rate {profile.learning_rate:g}, {profile.schedule} schedule",
        "batch size": f"{profile.batch_size:,} videos",
        "epochs": f"at most {profile.epochs}, patience {profile.patience}",
        "model selection": "highest GAP@20 on the tuning split",
    }
    return _styled(pd.Series(rows).to_frame(""), f"Training settings · profile {profile.name}", texts=[0])


def _named(shown: pd.DataFrame, names: Iterable) -> pd.DataFrame:
    """The frame under unique one-line names, as a styler needs them."""
    seen, unique = {}, []
    for name in map(one_line, names):
        seen[name] = seen.get(name, 0) + 1
        unique.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return shown.set_axis(unique, axis=0)


def _styled(shown, caption: str, notes=(), *, texts=(), longest: int = 60, searchable: bool = False) -> Table:
    caption, notes = one_line(caption), [one_line(note) for note in notes]
    styler = Table(shown, cell_ids=False)
    styler.heading = "\n".join([caption, *notes])
    left = [f"td.col{place}, th.col_heading.col{place}" for place in texts]
    left = [{"selector": each, "props": "text-align: left;"} for each in left]
    slug = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in caption.lower())
    return (
        (styler.hide(axis=1) if list(shown) == [""] else styler)
        .format(_cut, na_rep="–")
        .format_index(partial(_cut, longest=longest))
        .format_index(_cut, axis=1)
        .set_caption(escape(caption) + "".join(f"<span>{escape(note)}</span>" for note in notes))
        .set_table_styles([*_STYLES, *left])
        .set_table_attributes('class="dmlkit-table"' + " data-searchable" * searchable)
        .set_uuid(f"dmlkit-{slug}")  # derived from the table: the same from one execution to the next
    )


def _cell(value, digits: int) -> str:
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, float | np.floating):
        return "–" if np.isnan(value) else f"{value:.{digits}f}"
    return one_line(value)


def _cut(text: str, longest: int = 60) -> str:
    """Text as markup; what is too long for a cell is cut, and shown in full on hover."""
    whole = one_line(text)
    short = escape(shorten(whole, longest))
    return short if len(whole) <= longest else f'<span title="{escape(whole)}">{short}</span>'
