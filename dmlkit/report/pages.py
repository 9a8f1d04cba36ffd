"""From executed notebooks to self-contained pages, the index page and `results.json`.

nbconvert turns a notebook into HTML with the template `templates/notebook_body`. What its cells show is sanitized by
nh3, and a Content-Security-Policy lets a page run and fetch nothing but our own scripts, of the attention view and of
searchable tables, which are allowed by their hash.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from html import unescape
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

from dmlkit.errors import DmlkitError, date, duration, shorten
from dmlkit.experiments import ABLATIONS, beyond_for, fusion_variants
from dmlkit.report.cache import digest, file_digest, run_digests, software
from dmlkit.report.plan import Context
from dmlkit.runtime import versions

TEMPLATES = Path(__file__).parent / "templates"
WIDGET = "application/vnd.jupyter.widget-view+json"
POLICY = "default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'; "
POLICY += "base-uri 'none'; form-action 'none'"
# The richest form of an output that a page without scripts can show.
SHOWN = ["text/html", "image/svg+xml", "image/png", "image/jpeg", "text/markdown", "text/plain"]
MOST_FINDINGS = 6  # steps of the ladder in the table that opens the index
STEP = "{name} against {baseline} {difference:+.4f} ({low:+.4f} to {high:+.4f}), {parameters_ratio:.2g} × the size"
MAX_TEXT = 60_000  # characters of one output; the executed notebook holds all of it
# Not allowed in HTML or UTF-8.
UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
OUTSIDE_CSS = re.compile(r"""@import[^;]*;?|url\(\s*(?!['"]?(?:data:|#))[^)]*\)?""", re.IGNORECASE)
EQUATION = re.compile(
    r"(?s)(?P<code><(code|pre)\b.*?</\2>)|\$\$(?P<block>.+?)\$\$|\$(?P<inline>[^\s$](?:[^$\n]*[^\s$])?)\$(?!\d)"
)
MATHML = {
    "math", "mrow", "mi", "mn", "mo", "mtext", "mspace", "mstyle", "msub", "msup", "msubsup", "mfrac", "msqrt", "mroot",
    "mover", "munder", "munderover", "mtable", "mtr", "mtd", "mpadded", "mphantom",
}  # fmt: skip
# After the module: draw each view; where that fails, the still picture stays.
START = """
for (const data of document.querySelectorAll("script.dmlkit-scene")) {
  try { show(data.previousElementSibling, JSON.parse(data.textContent)); } catch (error) { console.error(error); }
}
"""


def write_page(chapter, context: Context, pages: Sequence[tuple[str, str]]):
    """Write the page of a chapter that was executed, where it is not as it would be written."""
    if chapter.html is None:
        return chapter
    about = {name: getattr(chapter, name) for name in ("title", "executed", "seconds")}
    about |= {"data": context.data.name, "generated": context.data.generated}
    about["profile"] = context.profile.name
    of = digest([about, pages, file_digest(chapter.notebook), software()])
    if context.state.up_to_date(chapter.html.name, of):
        return chapter
    try:
        html = render_notebook(chapter.notebook, pages=dict(pages), folder=chapter.html.parent, **about)
    except Exception as error:  # of one notebook, which must not cost the others their report
        chapter.html.unlink(missing_ok=True)
        message = f"Its page could not be made: {type(error).__name__}: {shorten(error, 500)}"
        failed = {"reason": chapter.reason or message, "kind": chapter.kind or "page"}
        return replace(chapter, status="failed", html=None, **failed)
    context.state.write(chapter.html.name, html, of)
    return chapter


def write_front(report, context: Context, left_out: Sequence[tuple[str, str]] = ()) -> None:
    """Write the index and `results.json`, where they are not as they would be; `left_out`: notebooks, and options."""
    runs = sorted(path.name for path in context.runs.iterdir() if path.is_dir() and path.name[0] != ".")
    inputs = [context.conditions, context.data_digest, run_digests(runs, context.runs), software(), left_out]
    for chapter in report.chapters:
        executed = chapter.notebook and file_digest(chapter.notebook)
        inputs.append([chapter.to_record(), chapter.question, dict(chapter.runs), executed])
    of = digest([*inputs, context.state.call, report.exit, report.ended])
    if not all(context.state.up_to_date(name, of) for name in ("results.json", "index.html")):
        summary = summarize(context, report.chapters)
        summary["left_out"] = [*left_out, *sections_left_out(report.chapters)]
        context.state.write("results.json", f"{json.dumps(summary, indent=2, ensure_ascii=False)}\n", of)
        context.state.write("index.html", render_index(summary, report), of)


def summarize(context: Context, chapters: Sequence) -> dict:
    """The content of `results.json`: ladder, its steps, ensembles, data, conditions; None where there is no number."""
    from dmlkit.runs import experiment_row  # imports pandas
    from dmlkit.training.state import describe_data

    dataset, caps, runs = context.data, context.profile.caps, {}

    def row_of(experiment) -> dict:
        if run := context.run(experiment, partly=True):
            runs[experiment.name] = run
        return experiment_row(experiment, run, context.not_applicable_reason(experiment))

    def trained(experiments: Mapping) -> list[dict]:
        return [row for row in map(row_of, experiments.values()) if row["status"] == "trained"]

    rows = {"ladder": [row_of(each) for each in context.ladder.values()]}
    ladder_runs, steps = dict(runs), []
    rows["ablations"] = trained(ABLATIONS | fusion_variants(context.ladder, context.profile))
    rows |= {"beyond": trained(beyond_for(context.level)), "ensembles": []}
    try:
        steps = _steps(ladder_runs, rows["ladder"], context)
        rows["ensembles"] = _ensembles(ladder_runs, context)
    except DmlkitError as error:  # scores that are missing or damaged cost what is computed from them
        context.damaged["scores"] = str(error)
    videos = {split: dataset.num_videos(split) for split in dataset.splits}
    read = {name: min(count, caps.get(name) or count) for name, count in videos.items() if name != "test"}
    summary = {
        **rows,
        "steps": steps,
        "unreadable": "; ".join(context.damaged.values()) or None,
        "data": describe_data(dataset, videos=videos) | {"read": read},
        "generated": dataset.generated,
        **context.conditions,
        "profile": context.profile.to_record(),
        "versions": versions(),
        # As the trainings recorded it.
        "hardware": next((run.record["hardware"] for run in runs.values() if "hardware" in run.record), None),
        **context.state.call,
    }
    summary["highest_of_ladder"] = of_ladder = _highest(rows["ladder"])
    everything = [row | {"part": part} for part in rows for row in rows[part]]
    # A recipe may be scored on other videos.
    same = [row for row in everything if of_ladder and row["videos"] == of_ladder["videos"]]
    summary["highest"] = _highest(same)
    summary["chapters"] = [
        each.to_record() | {"answer": _answer(each.name[3:], summary)} for each in chapters
    ]
    # JSON has no word for NaN and infinities.
    return json.loads(json.dumps(summary), parse_constant=lambda name: None)


def _steps(runs: Mapping, ladder: Sequence[Mapping], context: Context) -> list[dict]:
    """The ladder's paired differences, each with its notebook, its cost and how many times its baseline's that is."""
    from dmlkit.plots import paired_differences  # imports matplotlib

    rows, steps = {row["name"]: row for row in ladder}, paired_differences(runs).to_dict("records")
    for step in steps:
        step["chapter"] = context.ladder[step["experiment"]].chapter
        for name in ("parameters", "seconds_an_epoch"):
            step[name], before = (rows[step[side]][name] for side in ("experiment", "against"))
            step[f"{name}_ratio"] = step[name] / before if step[name] and before else float("nan")
    return steps


def _ensembles(runs: Mapping, context: Context) -> list[dict]:
    """Rows of the ensembles of 06 and 08 that are trained, and of the ladder's combined in every other way."""
    from dmlkit.plots import combiner_title
    from dmlkit.training import all_results, compare_combiners

    found = all_results(context.study).reset_index()
    rows = found[found["part"] == "ensemble"].to_dict("records")
    for of_all in [row for row in rows if row["name"] == "ensemble-of-all"]:
        members = [runs[name] for name in of_all["experiment"]["members"]]
        # The first two are the best member, and Algorithm 2, which is the ensemble itself.
        for by, row in compare_combiners(members)[2:].iterrows():
            gap, low, high = row["validation GAP@20":"to"]
            title = f"{combiner_title(by)}, {len(members)} models" + ", one seed" * bool(members[0].siblings)
            about = {"name": by, "title": title, "videos": of_all["videos"]}
            rows.append(about | {"gap": gap, "gap_low": low, "gap_high": high})
    return rows


def _answer(chapter: str, summary: Mapping) -> str:
    """The result of a notebook in a line: values with their 95 % intervals; empty where there is none."""
    if chapter == "data":
        videos, of = sum(summary["data"]["videos"].values()), summary["data"]
        sizes = " + ".join(f"{each['size']:,} ({name})" for name, each in of["features"].items())
        return f"{videos:,} videos, {of['num_classes']:,} classes; values per {of['level']}: {sizes}."
    steps = [step for step in summary["steps"] if chapter in (step["chapter"], "results")]
    if chapter == "results":
        steps = sorted(steps, key=lambda step: -step["difference"])[:1]
    parts = "; ".join(STEP.format(**step) for step in steps)
    line = f"{'Largest step, ' * (chapter == 'results')}ΔGAP@20 (95 % CI): {parts}. " if parts else ""
    rows = {"results": [summary["highest"]], "ensemble": summary["ensembles"], "beyond": summary["beyond"]}
    best = _highest(rows.get(chapter, ()))
    return f"{line}Highest GAP@20: {_valued(best)}." if best else line.strip()


def _highest(rows: Iterable) -> Mapping | None:
    measured = (row for row in rows if row and row["gap"] is not None)
    return max(measured, key=lambda row: row["gap"], default=None)


def _valued(row: Mapping) -> str:
    return f"{row['title']}, {row['gap']:.4f} (95 % CI {row['gap_low']:.4f} to {row['gap_high']:.4f})"


def render_index(summary: Mapping, report) -> str:
    """The index page: what was found, the ladder, the notebooks, the data and the conditions."""
    entries = [{**each, "chapter": of} for each, of in zip(summary["chapters"], report.chapters, strict=True)]
    counts, rows, steps = Counter(entry["status"] for entry in entries), summary["ladder"], summary["steps"]
    plot = None
    if steps:
        import pandas as pd

        from dmlkit.plots import differences

        dataset = SimpleNamespace(name=summary["data"]["name"], generated=summary["generated"])
        plot = differences(pd.DataFrame(steps), dataset, title="Steps of the ladder")
    largest = sorted(steps, key=lambda step: -abs(step["difference"]))[:MOST_FINDINGS]
    return render_page(
        "index.html.j2",
        **{"left_out": (), **summary},
        findings=[step for step in steps if step in largest],
        exit=report.exit,
        incomplete=report.ended or counts["interrupted"],
        entries=entries,
        pages={entry["name"]: entry["title"] for entry in entries if entry["html"]},
        counted=", ".join(f"{count} {status}" for status, count in counts.items()),
        map_classes=next((row["map_classes"] for row in rows if row["map_classes"]), None),
        plot=plot and Markup(plot.markup()),
    )


@cache
def _templates():
    settings = {"autoescape": True, "undefined": StrictUndefined, "trim_blocks": True}
    environment = Environment(loader=FileSystemLoader(TEMPLATES), **settings)
    environment.filters |= {"duration": duration, "date": date, "valued": _valued}
    return environment


def render_page(
    template: str, *, views: Sequence = (), searchable: bool = False, plays: bool = False, **values: object
) -> str:
    """A page from a template, which may play local files if it `plays`; values are escaped but for marked HTML."""
    style, policy = (TEMPLATES / "style.css").read_text(encoding="utf-8"), POLICY
    scripts = [(TEMPLATES / "tables.js").read_text(encoding="utf-8")] if searchable else []
    if views:
        from dmlkit.explorer.saved_view import MODULE, STYLE

        style += STYLE
        scripts.append(MODULE + START)
    if plays:
        policy = policy.replace("media-src data:", "media-src data: 'self'")
    if scripts:
        hashes = (base64.b64encode(hashlib.sha256(each.encode()).digest()).decode() for each in scripts)
        policy += "; script-src " + " ".join(f"'sha256-{each}'" for each in hashes)
    ours = {"style": Markup(style), "scripts": [Markup(each) for each in scripts], "policy": Markup(policy)}
    return UNPRINTABLE.sub("", _templates().get_template(template).render(**ours, **values))


def render_notebook(
    notebook: Path, *, title: str, pages: Mapping[str, str], folder: Path | None = None, **about
) -> str:
    """The page of an executed notebook, in a folder; `pages` are the names and titles of all."""
    import nbformat
    from bs4 import BeautifulSoup

    content, views = nbformat.read(notebook, as_version=4), []
    content.metadata.pop("widgets", None)
    # Sections tagged `optional` that show no table or figure are left out.
    content.cells = [cell for section, empty in _sections(content.cells) if not empty for cell in section]
    for cell in content.cells:
        if cell.cell_type == "code":
            outputs = [_shown(output, views) for output in cell.outputs]
            cell.metadata["live"] = any(output.pop("live", False) for output in outputs)
            cell.outputs = [output for output in outputs if output.get("data", True)]
    content.cells = _joined(content.cells)
    soup = BeautifulSoup(_exporter().from_notebook_node(content)[0], "html.parser")
    sections = _finish(soup, title, pages)
    about["plays"] = sum(_address_files(view, folder or notebook.parent) for view in views) > 0
    for number, view in enumerate(views):
        if place := soup.find("div", class_="dmlkit-place", attrs={"data-view": str(number)}):
            # Data, which our module draws as text.
            script = soup.new_tag("script", attrs={"type": "application/json", "class": "dmlkit-scene"})
            script.string = htmlsafe_json_dumps(view)
            place.insert_after(script)
    steps, at = [None, *pages.items(), None, None], [*pages, notebook.stem].index(notebook.stem)
    about |= {"previous": steps[at], "next": steps[at + 2], "name": notebook.stem, "title": title}
    about["searchable"] = soup.find("table", attrs={"data-searchable": True}) is not None
    body = Markup(str(soup))  # sanitized by the exporter's template
    return render_page("notebook.html.j2", views=views, body=body, pages=pages, sections=sections, **about)


def _address_files(view: dict, folder: Path) -> int:
    """Replace the paths of a view's video and audio files by addresses relative to the page; how many there are."""
    media = [each["media"] for each in view.get("videos", ()) if "player" in each.get("media", {})]
    for each in media:
        path = os.path.relpath(each["player"]["path"], folder.resolve())
        each["player"] = {"kind": each["player"]["kind"], "src": quote(path)}
    return len(media)


def _joined(cells: Sequence) -> list:
    """The cells with code that shows nothing joined to the code before it that shows nothing either."""
    joined = []
    for cell in cells:
        silent = cell.cell_type == "code" and not cell.outputs and not cell.metadata["live"]
        if silent and joined and joined[-1].cell_type == "code" and not joined[-1].outputs:
            joined[-1].source += f"\n\n{cell.source}"
        else:
            joined.append(cell)
    return joined


@cache
def _exporter():
    from nbconvert import HTMLExporter
    from traitlets.config import Config

    return HTMLExporter(
        config=Config({"NbConvertBase": {"display_data_priority": SHOWN}}),
        template_name="notebook_body",
        extra_template_basedirs=[str(TEMPLATES)],
        exclude_anchor_links=True,
        filters={"cleaned": cleaned, "equations": equations},
    )


def _sections(cells: Sequence) -> Iterator[tuple[Sequence, bool]]:
    """The cells of each section of a notebook, and whether it may be left out and shows no table or figure."""
    titles = [cell.cell_type == "markdown" and cell.source.startswith("## ") for cell in cells]
    starts = [place for place, title in enumerate(titles) if title]
    for start, end in pairwise([0, *starts, len(cells)]):
        section = cells[start:end]
        optional = section and "optional" in section[0].metadata.get("tags", ())
        shown = any(output.output_type != "stream" for cell in section for output in cell.get("outputs", ()))
        yield section, bool(optional and not shown)


def sections_left_out(chapters: Sequence) -> list[tuple[str, str]]:
    """The empty sections of executed notebooks, each with the option that fills it (`made_by` of its first cell)."""
    import nbformat

    return [
        (f"{chapter.name}, {section[0].source.splitlines()[0][3:]}", section[0].metadata["made_by"])
        for chapter in chapters
        for section, empty in _sections(nbformat.read(chapter.notebook, 4).cells if chapter.html else ())
        if empty and "made_by" in section[0].metadata
    ]


def equations(html: str) -> str:
    """Rendered Markdown whose LaTeX, `$x$` and `$$x$$` outside code, is MathML: it needs no script to be shown."""
    from latex2mathml.converter import convert

    def mathml(found: re.Match) -> str:
        if found["code"]:
            return found["code"]
        try:
            latex = unescape(found["block"] or found["inline"])
            return convert(latex, display="block" if found["block"] else "inline")
        except Exception:  # no LaTeX, or such that the library does not know
            return found[0]

    return EQUATION.sub(mathml, html)


def cleaned(html: str) -> str:
    """Markup without what runs, fetches or sends; only links to be clicked lead elsewhere."""
    import nh3

    everywhere = {"align", "class", "dir", "id", "lang", "role", "scope", "style", "tabindex", "title"}
    of_math = {"accent", "display", "fence", "mathvariant", "stretchy", "width", "xmlns"}
    media = {"controls", "src"}
    attributes = nh3.ALLOWED_ATTRIBUTES | {"*": everywhere} | dict.fromkeys(MATHML, of_math)
    attributes |= {"a": {"href"}, "img": {"alt", "height", "src", "width"}, "details": {"open"}}
    attributes |= {"audio": media, "video": media, "source": {"media", "srcset"}}
    safe = nh3.clean(
        OUTSIDE_CSS.sub("", html),
        tags=nh3.ALLOWED_TAGS - {"area", "map"}
        | {"audio", "details", "picture", "source", "style", "summary", "video"}
        | MATHML,
        clean_content_tags={"script"},
        attributes=attributes,
        attribute_filter=_attribute,
        generic_attribute_prefixes={"aria-", "data-"},
        url_schemes={"data", "http", "https", "mailto"},
        link_rel=None,
    )
    return UNPRINTABLE.sub("", safe)


def _attribute(tag: str, name: str, value: str) -> str | None:
    """An attribute's value; None for what would be fetched, and for documents within an address."""
    inlined = value.strip().lower().startswith("data:")
    refused = {"src": not inlined, "srcset": not inlined or len(value.split()) > 1, "href": inlined}
    return None if refused.get(name) else value


def _shown(output, views: list):
    """An output without what only a running notebook can show; an attention view leaves its place, and is kept."""
    from dmlkit.explorer.saved_view import MIME

    data = output.get("data", {})
    for holder, name in ((output, "text"), (data, "text/plain")):
        if (excess := len(text := holder.get(name, "")) - MAX_TEXT) > 0:
            left_out = f"… {excess:,} characters are left out; the executed notebook holds them …"
            holder[name] = f"{text[: MAX_TEXT * 2 // 3]}\n\n{left_out}\n\n{text[-MAX_TEXT // 3 :]}"
    if MIME in data:
        views.append(data[MIME])
        place = f'<div class="dmlkit-place" data-view="{len(views) - 1}">{data.get("text/html", "")}</div>'
        output["data"] = {"text/html": place}
    elif WIDGET in data:
        output["live"] = "JupyterLab" not in data.get("text/html", "")
        output["data"] = {kind: value for kind, value in data.items() if kind in SHOWN}
        # Not a widget's repr, `VBox(children=(...))`.
        if list(output["data"]) == ["text/plain"] and re.match(r"\w+\(.*\)$", data["text/plain"], re.DOTALL):
            output["data"] = {}
    return output


def _finish(soup, title: str, pages: Collection[str]) -> list[tuple[str, str]]:
    """Headings in order below one h1, wide things that scroll, links that lead somewhere; id and text of each h2."""
    if soup.h1 is None:
        soup.insert(0, soup.new_tag("h1", string=title))
    first, level = soup.h1, 1
    for heading in soup.find_all(["h1", "h2", "h3", "h4", "h5", "h6"]):
        if heading is not first:
            level = max(2, min(int(heading.name[1]), level + 1))
            heading.name = f"h{level}"
    for table in soup.find_all("table"):
        if not table.find_parent(class_="scroll") and not table.find_parent("table"):
            caption = " ".join(table.caption.get_text(" ").split())[:120] if table.caption else "Table"
            attributes = {"class": "scroll", "role": "region", "aria-label": caption}
            table.wrap(soup.new_tag("div", attrs=attributes))
    for blank in soup.find_all("th", class_="blank"):
        blank.name = "td"
    formulas = soup.find_all("math", attrs={"display": "block"})
    for wide in [*soup.find_all(class_="scroll"), *soup.find_all("pre"), *formulas]:
        wide["tabindex"] = "0"
    for picture in soup.find_all("img"):
        picture["alt"] = str(picture.get("alt", "")).strip() or "A picture without a description."
    for link in soup.find_all("a", href=True):
        # A link between notebooks leads to the page; one into the repository becomes plain text.
        name = link["href"].strip().split("#")[0].removesuffix(".ipynb")
        if name in pages:
            link["href"] = f"{name}.html"
        elif not link["href"].strip().startswith(("#", "http://", "https://", "mailto:")):
            link.unwrap()
    for number, heading in enumerate(soup.find_all("h2"), start=1):
        heading["id"] = f"section-{number}"
    return [(heading["id"], " ".join(heading.get_text().split())) for heading in soup.find_all("h2")]
