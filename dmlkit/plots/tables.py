"""Tables for notebooks: readable numbers, with text that cannot break the page."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from functools import partial
from html import escape

import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler

from dmlkit.errors import html_card, one_line, shorten
from dmlkit.experiments import baseline_of, find
from dmlkit.metrics import FOR_THIS_SEED, OVER_SEEDS, too_few
from dmlkit.plots.style import heading, plotted, with_data
from dmlkit.runs import to_frame

Rows = pd.DataFrame | list[dict]  # rows of `Study`, as a table or as they are in `results.json`
FORMATS = {
    "gap": "{:.4f}", "map": "{:.4f}", "hit_at_one": "{:.4f}", "perr": "{:.4f}", "parameters": "{:,.0f}",
    "seconds_an_epoch": "{:,.1f}", "videos": "{:,.0f}", "paper_gap": "{:.5f}",
}  # fmt: skip
NUMBERS = [*FORMATS, "gap_low", "gap_high", "gap_min", "gap_max", "seeds"]
# Names of layers of `dmlkit.models` → their stage, the first pattern that matches.
_STAGES = {
    r"fusion(_.+)?": "Fusion",
    r"encoder(_.+)?_(last|ends)|last|mean|attention|heads|feature_\w+|clusters|pooled(_gate)?": "Pooling",
    r"encoder(_.+)?": "Encoder",
    r".+_(bag|embedding|dequantize|zero_padding|normalization(_variance)?|dropout|over_frames)": "Inputs",
    r"dropout|(.+_)?(gates|experts|scores)|chained.*|frame_(logits|attention)|scores_gate": "Classifier",
}
_MOVING = {
    "InputLayer", "Dropout", "ReverseFrames", "ZeroPadding", "RepeatOverFrames", "Concatenate", "Add", "ReLU",
    "LastStage", "AttentionMask",
}  # fmt: skip
_BOX = "border: 1px solid var(--jp-border-color1, currentColor); border-radius: 6px; padding: 0.3em 0.6em;"
GENERATED = "GENERATED DATA: scores on them do not transfer to real videos."

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


class Card:
    """HTML for notebooks and pages; plain text elsewhere."""

    def __init__(self, html: str, text: str):
        self._html, self._text = html, text

    def _repr_html_(self) -> str:
        return self._html

    def __repr__(self) -> str:
        return self._text


def as_runs(runs) -> list:
    """The runs in a mapping, an iterable, or alone, without None."""
    if isinstance(runs, Mapping):
        runs = runs.values()
    elif not isinstance(runs, Iterable):
        runs = [runs]
    return [run for run in runs if run is not None]


def result_rows(results: Rows, *, short_titles: bool = False) -> pd.DataFrame:
    """The rows of `study.ladder()`, `study.ablations()` or `study.results()`: numbers as floats, titles as a column."""
    columns = ["name", "title", "status", "reason", "experiment", "part", *NUMBERS]
    is_frame = isinstance(results, pd.DataFrame)
    frame = results.reset_index().reindex(columns=columns) if is_frame else to_frame(results, columns=columns)
    frame[NUMBERS] = frame[NUMBERS].apply(pd.to_numeric, errors="coerce").astype(float)
    over = frame["seeds"].gt(1).map({True: OVER_SEEDS, False: FOR_THIS_SEED})
    frame["over"] = over.astype(object).where(frame["gap"].notna())
    for at, experiment in frame["experiment"].items() if short_titles else ():
        if isinstance(experiment, Mapping) and experiment.get("trick"):
            # The trick first, and its baseline in brackets.
            base = find(baseline_of(frame.at[at, "name"])).title
            frame.at[at, "title"] = f"{frame.at[at, 'title'].removeprefix(f'{base}, ')} ({base})"
    return frame


def intervals_over(rows: pd.DataFrame) -> str:
    """What the intervals of some rows are over, from their column `over`."""
    kinds = {*rows["over"].dropna()} or {FOR_THIS_SEED}
    seeds = "and over seeds where there are several" if OVER_SEEDS in kinds else "for these seeds"
    return kinds.pop() if len(kinds) == 1 else f"over videos, {seeds}"


def of_seed(title: str, runs) -> str:
    """The title of what shows one seed's runs alone where there are several seeds."""
    seed = next((f", seed {run.record['seed']}" for run in as_runs(runs) if run.siblings), "")
    return title + seed


def absence(row: Mapping) -> str:
    """Why a row has no numbers: its status, and the reason where there is one; empty where it has them."""
    parts = (row["status"], row["reason"]) if row["status"] != "trained" else ()
    return ": ".join(each for each in parts if isinstance(each, str))


def table(results: Rows, dataset=None, *, title: str = "The ladder") -> Table | None:
    """Experiments with their metrics and cost, and the paper's figure in a column of its own."""
    rows = result_rows(results)
    absent = ((row["title"], absence(row)) for row in rows.to_dict("records"))
    notes = [f"{shorten(name, 60)}: {reason}." for name, reason in absent if reason]
    columns = "gap range interval map hit_at_one perr parameters seconds_an_epoch paper_gap"
    return _results(rows, columns, with_data(title, dataset), notes)


def all_results(results: Rows, dataset=None, *, title: str = "All experiments") -> Table | None:
    """Every trained experiment, the highest GAP@20 first: its group, metrics, size and speed."""
    rows = result_rows(results, short_titles=True)
    missing = [shorten(name, 60) for name in rows["title"][rows["gap"].isna()]]
    notes = [f"Not trained: {'; '.join(missing)}."] * bool(missing)
    rows = rows.dropna(subset=["gap"]).sort_values("gap", ascending=False, kind="stable")
    if rows["videos"].nunique() > 1:  # a recipe's own settings may lift the caps
        notes.append("The validation videos differ (last column): compare only rows with the same number.")
    columns = "part gap range interval map parameters seconds_an_epoch videos"
    return _results(rows, columns, with_data(title, dataset), notes, texts=[0], longest=38)


def _results(rows: pd.DataFrame, columns: str, caption: str, notes: list[str], **look) -> Table | None:
    if rows.empty:
        return None
    several, few = bool(rows["seeds"].notna().any()), too_few(rows["videos"].min())
    notes = [*notes, f"95 % CI {intervals_over(rows)}."]
    notes += ["Means over the seeds, with the lowest and the highest."] * several
    notes += [f"{few.capitalize()}."] * bool(few)
    interval = rows["gap_low"].map("{:.3f} to ".format) + rows["gap_high"].map("{:.3f}".format)
    seeds = rows["gap_min"].map("{:.4f} to ".format) + rows["gap_max"].map("{:.4f}".format)
    rows = rows.assign(
        part=rows["part"].fillna("ladder"),
        interval=interval.where(rows["gap_low"].notna()),
        range=(seeds + rows["seeds"].map(" (of {:.0f})".format)).where(rows["seeds"].notna()),
    )
    shown = rows[[column for column in columns.split() if several or column != "range"]].astype(object)
    for column in shown:
        shown[column] = shown[column].map(FORMATS.get(column, "{}").format, na_action="ignore").fillna("–")
    return _styled(_named(shown.rename(columns=heading), rows["title"]), caption, notes, **look)


@plotted
def numbers(
    frame: pd.DataFrame, dataset=None, *, title: str, digits: int = 4, searchable: bool = False
) -> Table | None:
    """Any table of numbers: floats with a fixed number of digits, whole numbers with thousands, text escaped.

    In a report's page a searchable one has a search box, and is sorted by the headings of its columns.
    """
    shown = frame.apply(lambda column: column.map(lambda value: _cell(value, digits)).astype(object))
    shown.columns = pd.Index(map(heading, frame), name=frame.index.name)  # in the heading of the rows
    texts = [place for place in range(frame.shape[1]) if frame.iloc[:, place].map(type).eq(str).any()]
    notes = [f"95 % CI {FOR_THIS_SEED}."] if {"from", "gap_low"} & {*frame.columns} else []
    look = {"texts": texts, "searchable": searchable}
    return _styled(_named(shown, frame.index), with_data(title, dataset), notes, **look)


def data_card(study, *, settings: bool = False) -> Card:
    """Data, profile and seeds of a study, and the profile's `settings`; notes that name no shards are folded."""
    dataset, profile = study.dataset, study.profile
    videos = []
    for split in dataset.splits:
        count, cap = dataset.num_videos(split), profile.caps.get(split)
        used = f" ({cap:,} used, of a sample of shards)" if cap is not None and cap < count else ""
        videos.append(f"{split} {count:,}{used}")
    features = [f"{dataset.level} level: "]
    for name, each in dataset.features.items():
        what = f"values per {dataset.level}" if each.in_frames else "hashed tokens"
        features.append(f"{name} {each.size:,} {what}")
    if dataset.level == "frame" and profile.max_frames:
        features.append(f"at most {profile.max_frames} frames per video ({profile.frame_choice})")
    # What decides which videos are read, as splits that were inferred, must be seen.
    of_shards = [note for note in dataset.notes if "shard" in note]
    rows = {
        "origin": GENERATED if dataset.generated else "",
        "videos": ", ".join(videos),
        "splits": " ".join(of_shards),
        "features": features[0] + ", ".join(features[1:]),
        "classes": f"{dataset.num_classes:,}",
        "profile": f"{profile.name}, seed {study.seed}"
        + f" and the {study.seeds - 1} after it" * (study.seeds > 1),
        "settings": f"{profile.layers} × {profile.units} units per direction, {profile.normalization} normalization of "
        f"the inputs, dropout {profile.dropout:g}; Adam, learning rate {profile.learning_rate:g} ({profile.schedule}), "
        f"batches of {profile.batch_size:,} videos, at most {profile.epochs} epochs (patience {profile.patience}), the "
        "one with the highest GAP@20 on the tuning split kept" * settings,
    }
    others = [one_line(note) for note in dataset.notes if note not in of_shards]
    lines = [shorten(dataset.name), *(f"{name}: {one_line(text)}" for name, text in rows.items() if text)]
    return Card(html_card(dataset.name, rows, others), "\n".join([*lines, *others]))


def model_diagram(model) -> Card:
    """The stages of a model of `dmlkit.build_model` over the folded table of its layers.

    Each stage has its layers, the shape of its output for one video and its number of parameters; one without layers,
    as the fusion of a single modality, is left out.
    """
    copies = [each for each in model.layers if hasattr(each, "layers")]
    shown = copies[0] if copies else model
    stages = _stages(shown)
    about = f"{model.count_params():,} parameters" + f", the mean of {len(copies)} such models" * bool(copies)
    flex = '"display: flex; gap: 0.4em; flex-wrap: {}; align-items: {}; padding: 0; font-size: {};"'.format
    boxes = [
        f'<div style="{_BOX}">{"<br>".join([f"<strong>{stage}</strong>", *map(escape, lines)])}</div></li>'
        for stage, lines in stages.items()
    ]
    item = f"<li style={flex('nowrap', 'center', '100%')}>"
    listed = item + f'{item}<span aria-hidden="true">→</span>'.join(boxes)
    # Not `model.summary()`: it leaves an empty output in a notebook wherever its text goes.
    rows = []
    for layer in shown.layers:
        outputs = ", ".join(str(each.shape) for each in layer._inbound_nodes[0].output_tensors)
        rows.append((layer.name, type(layer).__name__, outputs, layer.count_params()))
    layers = pd.DataFrame(rows, columns=["layer", "class", "output", "parameters"])
    folded = f"<summary>{about}: all layers</summary>{layers.to_html(index=False, border=0)}"
    text = "\n".join([*(f"{stage}: {'; '.join(lines)}" for stage, lines in stages.items()), about])
    html = f"<ol style={flex('wrap', 'stretch', '85%')}>{listed}</ol><details>{folded}</details>"
    return Card(html, text)


def _stages(model) -> dict[str, list[str]]:
    """Stage → its layers, the shape of what it passes on and its parameters, in the order of the model."""
    stage_of, layers, outputs = dict.fromkeys(model.input, "Inputs"), defaultdict(list), defaultdict(dict)
    for layer in model.layers:
        read = [each for node in layer._inbound_nodes for each in node.input_tensors if each.shape[1:]]
        read = {each: stage_of.get(each._keras_history.operation.name) for each in read}
        # A fusion of one's own may give its layers any names.
        named = [stage for pattern, stage in _STAGES.items() if re.fullmatch(pattern, layer.name)]
        named.append("Fusion" if {*read.values()} <= {"Inputs", "Fusion"} else "Other layers")
        stage = stage_of.setdefault(layer.name, named[0])
        layers[stage].append(layer)
        for tensor, source in read.items():
            if source not in (None, stage):
                outputs[source][tensor] = None
    outputs[stage] = model.outputs
    shown = {stage: _counts(map(_in_words, own)) for stage, own in layers.items()}
    modalities = [each for each in model.inputs if each.shape[1:]]
    shown["Inputs"][:0] = [f"{each.name}: {_shape(each)}, {each.dtype}" for each in modalities]
    for stage, lines in shown.items():
        lines += [f"output: {each}" for each in _counts(map(_shape, outputs[stage]))]
        if parameters := sum(layer.count_params() for layer in layers[stage]):
            lines.append(f"{parameters:,} parameters")
    return shown


def _shape(tensor) -> str:
    return "frames × " * (len(tensor.shape) > 2) + f"{tensor.shape[-1]:,}"


def _in_words(layer) -> str:
    """A layer's class, as `bidirectional GRU`; empty for those that only move or drop values."""
    kind = type(layer.cell if type(layer).__name__ == "RNN" else layer).__name__
    if (kind in _MOVING and layer.name != "fusion") or "_backward" in layer.name:
        return ""
    return "bidirectional " * ("_forward" in layer.name) + re.sub("(?<=[a-z])(?<!Net)(?=[A-Z])", " ", kind)


def _counts(texts: Iterable[str]) -> list[str]:
    """Each text once, as `2 × Dense` where it occurs twice."""
    counts = {text: f"{count} × " * (count > 1) for text, count in Counter(filter(None, texts)).items()}
    return [times + (f"({text})" if times and "×" in text else text) for text, times in counts.items()]


def _named(shown: pd.DataFrame, names: Iterable) -> pd.DataFrame:
    """The frame under unique one-line names, as a styler needs them."""
    names = pd.Series(map(one_line, names), dtype=object)
    times = names.groupby(names).cumcount() + 1
    return shown.set_axis(names.where(times == 1, names + times.map(" ({})".format)).tolist(), axis=0)


def _styled(shown, caption: str, notes=(), *, texts=(), longest: int = 60, searchable: bool = False) -> Table:
    caption, notes = one_line(caption), [one_line(note) for note in notes]
    styler = Table(shown, cell_ids=False)
    styler.heading = "\n".join([caption, *notes])
    left = ", ".join(f"td.col{place}, th.col_heading.col{place}" for place in texts)
    left = [{"selector": left, "props": "text-align: left;"}] if texts else []
    slug = re.sub("[^a-z0-9]", "-", caption.lower())
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
