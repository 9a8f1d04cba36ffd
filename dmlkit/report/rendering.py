"""One executed notebook → one page that holds all it shows and asks for nothing outside."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path

import nbformat
from bs4 import BeautifulSoup, Tag
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from nbconvert import HTMLExporter
from traitlets.config import Config

from dmlkit.report.inlining import NOTHING, Views

TEMPLATES = Path(__file__).parent / "templates"
WIDGET = "application/vnd.jupyter.widget-view+json"
# The richest form of an output that a page without scripts can show.
SHOWN = ["text/html", "image/svg+xml", "image/png", "image/jpeg", "text/markdown", "text/plain"]


@cache
def templates() -> Environment:
    """The page templates; every value is escaped but what is marked as HTML."""
    return Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )


def render_page(template: str, **values: object) -> str:
    """A page from a template, with the report's style inlined."""
    style = Markup((TEMPLATES / "style.css").read_text(encoding="utf-8"))  # our own file
    return templates().get_template(template).render(style=style, **{**NOTHING, **values})


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
        title=title,
        data=data,
        generated=generated,
        profile=profile,
        footer=footer,
        previous=previous,
        next=following,
        body=Markup(body),  # made by `_body` from escaped text and our own tables
        **views.head,
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
    )


def _body(notebook: nbformat.NotebookNode, *, title: str, pages: Collection[str], views: Views) -> str:
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [views.take(output) for output in cell.outputs]
            cell.metadata["live"] = any(_needs_word(output.get("data", {})) for output in cell.outputs)
            cell.outputs = [still for output in cell.outputs if (still := _still(output))]
    html, _ = _exporter().from_notebook_node(notebook)
    return _finish(html, title=title, pages=pages, views=views)


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
    """One h1, tables that scroll by themselves on a narrow page, links that lead somewhere, no script but ours."""
    soup = BeautifulSoup(html, "html.parser")
    for element in soup.find_all(["script", "iframe", "object", "embed", "link", "meta", "base"]):
        element.decompose()
    headings = soup.find_all("h1")
    for heading in headings[1:]:
        heading.name = "h2"
    if not headings:
        heading = soup.new_tag("h1")
        heading.string = title
        soup.insert(0, heading)
    for table in soup.find_all("table"):
        del table["border"]
        if table.find_parent(class_="scroll"):
            continue
        around = soup.new_tag(
            "div", attrs={"class": "scroll", "tabindex": "0", "role": "region", "aria-label": "Table"}
        )
        table.wrap(around)
    for link in soup.find_all("a", href=True):
        _lead(link, pages)
    for text in soup.find_all("pre"):
        text["tabindex"] = "0"
    views.put(soup)
    return str(soup)


def _lead(link: Tag, pages: Collection[str]) -> None:
    """Point a link between notebooks to the page; a link into the repository becomes plain text."""
    address = link["href"]
    if address.startswith(("#", "http://", "https://", "mailto:")):
        return
    name = address.split("#")[0].removesuffix(".ipynb")
    if name in pages:
        link["href"] = f"{name}.html"
    else:
        link.unwrap()
