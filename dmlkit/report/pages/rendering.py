"""One executed notebook → one page that holds all it shows and asks for nothing outside."""

from __future__ import annotations

import base64
import re
import struct
from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path

import nbformat
from bs4 import BeautifulSoup, Tag
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from nbconvert import HTMLExporter
from traitlets.config import Config

from dmlkit.report.pages.harmless import harmless, printable
from dmlkit.report.pages.inlining import Views

TEMPLATES = Path(__file__).parent / "templates"
WIDGET = "application/vnd.jupyter.widget-view+json"
# What a page may do: show what it holds. Our own module, inlined for a view of attention, is allowed by its hash.
POLICY = {
    "default-src": "'none'",
    "img-src": "data:",
    "media-src": "data:",
    "style-src": "'unsafe-inline'",
    "base-uri": "'none'",
    "form-action": "'none'",
}
# How much of one output a page shows; the executed notebook holds all of it.
MOST_TEXT, MOST_ROWS = 60_000, 500
# The richest form of an output that a page without scripts can show.
SHOWN = ["text/html", "image/svg+xml", "image/png", "image/jpeg", "text/markdown", "text/plain"]


@cache
def templates() -> Environment:
    """The page templates; every value is escaped but what is marked as HTML."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters["short"] = short
    return environment


def short(text: object, longest: int = 80) -> str | Markup:
    """A name in one line; one that is too long is cut, and shown in full when pointed at."""
    line = " ".join(str(text).split())
    if len(line) <= longest:
        return line
    return Markup('<span title="{}">{}…</span>').format(line, line[: longest - 1].rstrip())


def render_page(template: str, *, views: Views | None = None, **values: object) -> str:
    """A page from a template, with the report's style inlined, and our module where it has views."""
    views = views or Views()
    style = Markup((TEMPLATES / "style.css").read_text(encoding="utf-8")) + views.style  # our own files
    policy = "; ".join(f"{what} {allowed}" for what, allowed in (POLICY | views.policy).items())
    page = templates().get_template(template)
    return printable(page.render(style=style, policy=policy, script=views.script, **values))


def render_notebook(
    notebook: Path,
    *,
    title: str,
    data: str,
    generated: bool,
    profile: str,
    footer: str,
    previous: dict | None = None,
    following: dict | None = None,
    pages: Collection[str] = (),
) -> str:
    """The page of an executed notebook.

    Args:
        notebook: The executed notebook.
        title: Its title, which is the page's; its heading where the notebook has none of its own.
        data: What to call the data.
        generated: Whether they were generated, to be said loudly.
        profile: The profile's name.
        footer: A line below everything.
        previous, following: `{"html": ..., "title": ...}` of the neighbours; None where there is none.
        pages: The names of the report's other notebooks: links to them are kept.
    """
    views = Views()
    body = _body(nbformat.read(notebook, as_version=4), title=title, pages=pages, views=views)
    return render_page(
        "notebook.html.j2",
        views=views,
        title=title,
        data=data,
        generated=generated,
        profile=profile,
        footer=footer,
        previous=previous,
        next=following,
        body=Markup(body),  # made by `_body` from escaped text and our own tables
    )


@cache
def _exporter() -> HTMLExporter:
    config = Config()
    config.NbConvertBase.display_data_priority = SHOWN
    return HTMLExporter(
        config=config,
        template_name="dmlkit",
        extra_template_basedirs=[str(TEMPLATES)],
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        exclude_anchor_links=True,
        filters={"harmless": harmless},
    )


def _body(notebook: nbformat.NotebookNode, *, title: str, pages: Collection[str], views: Views) -> str:
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [views.take(output) for output in cell.outputs]
            cell.metadata["live"] = any(_needs_word(output.get("data", {})) for output in cell.outputs)
            cell.outputs = [still for output in cell.outputs if (still := _still(output))]
            for output in cell.outputs:
                _shorten(output)
    html, _ = _exporter().from_notebook_node(notebook)
    return _finish(html, title=title, pages=pages, views=views)


def _shorten(output: nbformat.NotebookNode) -> None:
    """Leave the beginning and the end of very long text."""
    for holder, name in ((output, "text"), (output.get("data", {}), "text/plain")):
        text = holder.get(name, "")
        if len(text) > MOST_TEXT:
            left_out = len(text) - MOST_TEXT
            first, last = text[: MOST_TEXT * 2 // 3], text[-MOST_TEXT // 3 :]
            said = f"… {left_out:,} characters are left out here; the executed notebook holds them …"
            holder[name] = f"{first}\n\n{said}\n\n{last}"


def _needs_word(data: Mapping) -> bool:
    """Whether a view is live in JupyterLab, and what stands for it here does not say so itself."""
    return WIDGET in data and "JupyterLab" not in data.get("text/html", "")


def _still(output: nbformat.NotebookNode) -> nbformat.NotebookNode | None:
    """An output without what only a running notebook can show; None where nothing is left."""
    data = output.get("data", {})
    if WIDGET not in data:
        return output
    output["data"] = {kind: value for kind, value in data.items() if kind in SHOWN}
    # A widget's repr, `VBox(children=(...))`, tells a reader nothing.
    if list(output["data"]) == ["text/plain"] and re.match(r"^\w+\(.*\)$", data["text/plain"], re.DOTALL):
        return None
    return output


def _finish(html: str, *, title: str, pages: Collection[str], views: Views) -> str:
    """Headings in order below one h1, wide things that scroll by themselves, links that lead somewhere, views."""
    soup = BeautifulSoup(html, "html.parser")
    _order_headings(soup, title)
    for table in soup.find_all("table"):
        del table["border"]
        _cut_rows(table, soup)
        if table.find_parent(class_="scroll") or table.find_parent("table"):
            continue
        named = " ".join(table.caption.get_text(" ").split())[:120] if table.caption else ""
        region = {"class": "scroll", "tabindex": "0", "role": "region", "aria-label": named or "Table"}
        table.wrap(soup.new_tag("div", attrs=region))
    for place in soup.find_all(class_="scroll"):
        place["tabindex"] = "0"
    for figure in soup.find_all("figure"):
        if figure.find("img", class_="picture"):
            figure.attrs |= {"tabindex": "0", "role": "group", "aria-label": "Picture"}
    for picture in soup.find_all("img"):
        if not str(picture.get("alt", "")).strip():
            picture["alt"] = _made_by(picture)
        if "picture" in picture.get("class", []):
            picture.attrs |= _size(str(picture.get("src", "")))
    for link in soup.find_all("a", href=True):
        _lead(link, pages)
    for text in soup.find_all("pre"):
        text["tabindex"] = "0"
    views.put(soup)
    return str(soup)


def _order_headings(soup: BeautifulSoup, title: str) -> None:
    """One h1, and below it no level left out."""
    headings = soup.find_all(["h1", "h2", "h3", "h4", "h5", "h6"])
    first = next((heading for heading in headings if heading.name == "h1"), None)
    if first is None:
        first = soup.new_tag("h1")
        first.string = title
        soup.insert(0, first)
    level = 1
    for heading in headings:
        if heading is not first:
            level = max(2, min(int(heading.name[1]), level + 1))
            heading.name = f"h{level}"


def _cut_rows(table: Tag, soup: BeautifulSoup) -> None:
    """Leave the first rows of a very long table, and say how many there are."""
    rows = [row for row in table.find_all("tr") if not row.find_parent("thead")]
    if len(rows) <= MOST_ROWS:
        return
    for row in rows[MOST_ROWS:]:
        row.decompose()
    note = soup.new_tag("p", attrs={"class": "left-out"})
    note.string = f"The first {MOST_ROWS:,} of {len(rows):,} rows; the executed notebook holds all of them."
    (table.find_parent(class_="scroll") or table).insert_after(note)


def _made_by(picture: Tag) -> str:
    """What there is to say of a picture that says nothing of itself."""
    cell = picture.find_parent(class_="cell")
    code = cell.find("summary") if cell else None
    if code is None or not code.code:
        return "A picture without a description."
    return f"A picture without a description, made by the code that begins: {code.code.get_text()[:120]}"


def _size(source: str) -> dict[str, str]:
    """The size of a PNG picture in pixels, so that a page does not move while it is read."""
    kind, _, data = source.partition(";base64,")
    head = base64.b64decode(data[:32]) if kind == "data:image/png" and len(data) >= 32 else b""
    if head[12:16] != b"IHDR":
        return {}
    width, height = struct.unpack(">II", head[16:24])
    return {"width": str(width), "height": str(height)} | ({"class": "picture small"} if width < 640 else {})


def _lead(link: Tag, pages: Collection[str]) -> None:
    """Point a link between notebooks to the page; a link into the repository becomes plain text."""
    address = link["href"].strip()
    if address.startswith(("#", "http://", "https://", "mailto:")):
        return
    name = address.split("#")[0].removesuffix(".ipynb")
    if name in pages:
        link["href"] = f"{name}.html"
    else:
        link.unwrap()
