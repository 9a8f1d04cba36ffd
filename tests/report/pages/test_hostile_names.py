"""Names that are code, formulas, links or too long: text in tables, figures, explorers, sentences and pages."""

from dataclasses import replace

import nbformat
import numpy as np
import pytest
from bs4 import BeautifulSoup
from IPython.core.formatters import DisplayFormatter
from matplotlib.text import Text
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from dmlkit import plots
from dmlkit.data import open_dataset
from dmlkit.data.schema import read_vocabulary
from dmlkit.explorer import ResultsExplorer, explore
from dmlkit.explorer.saved_view import MODULE
from dmlkit.models import attention_weights
from dmlkit.plots.style import Plot
from dmlkit.report.chapters import Chapter
from dmlkit.report.pages.index import render_index
from dmlkit.report.pages.rendering import render_notebook
from dmlkit.runs import Run
from dmlkit.training import Study

SCRIPT = "<script>alert(1)</script>"
LONG = "abcdefghij" * 30
NAMES = (
    SCRIPT,
    'a, "quoted" & <b>bold</b>',
    LONG,
    "",
    "\u202eמימין לשמאל 🎻👩\u200d🚀",
    "$x^2$ and $\\frac{1$",
    "](http://x.example) ![](http://x.example/p.png)",
    "\x1b[31mred\x1b[0m \x1b]8;;http://x.example\x07link",
    "\x00nul\r\nand\u2028lines\ud800",
    "<img src=x onerror=alert(2)>",
    "' onmouseover='alert(3)",
    "</title></style></svg><script>alert(4)</script>",
)
DATA = f"<i>{SCRIPT}</i> \x1b[1m$y_$ {LONG}"


@pytest.fixture(scope="module")
def hostile(generated):
    """The generated data set under hostile names."""
    dataset = open_dataset(generated)
    names = tuple(NAMES[number % len(NAMES)] for number in range(dataset.num_classes))
    kinds = tuple(f"kind {SCRIPT} {number % 3} $x$" for number in range(dataset.num_classes))
    return replace(dataset, name=DATA, generated=False, class_names=names, class_kinds=kinds)


@pytest.fixture(scope="module")
def runs(smoke_runs):
    """The two small runs, under hostile titles, on hostile data."""

    def renamed(run, title):
        about = {"experiment": run.record["experiment"] | {"title": title}}
        data = {"data": run.record["data"] | {"name": DATA, "generated": False}}
        return Run(run.path, run.record | about | data)

    return {"lr": renamed(smoke_runs["lr"], SCRIPT), "attention": renamed(smoke_runs["attention"], LONG)}


@pytest.fixture(scope="module")
def shown(hostile, runs, smoke_runs, generated):
    """What the notebooks show, made of those names."""
    batch = next(iter(hostile.batches("validate", batch_size=40)))
    weights = {SCRIPT: np.asarray(attention_weights(smoke_runs["attention"].model, batch))}
    folder = smoke_runs["lr"].path.parent
    study = Study(generated, profile="smoke", runs=folder, progress="silent")
    reason = f"{SCRIPT} {LONG}"
    rows = [
        row | {"title": name}
        for row, name in zip(study.ladder().reset_index().to_dict("records"), NAMES, strict=False)
    ]
    rows[2] |= {"reason": reason, "status": "missing"}
    counted = plots.survey(hostile, "validate")
    shares = plots.attention_on_truth(weights, batch, hostile)
    return [
        plots.data_note(hostile),
        plots.numbers(plots.most_frequent(counted, hostile, rows=24), hostile, title=SCRIPT),
        plots.data_survey(counted, hostile, title=f"{SCRIPT} {LONG}"),
        *(
            plots.video(batch, hostile, split="validate", kind=kind)
            for kind in (None, hostile.class_kinds[0])
        ),
        plots.by_kind(runs, hostile),
        plots.numbers(plots.gap_by_kind(runs, hostile), hostile, title="By kind"),
        plots.attention(weights, batch, hostile),
        plots.numbers(shares, hostile, title="Shares"),
        plots.say_attention(shares),
        plots.learning_curves(runs),
        plots.table(rows, hostile),
        plots.ladder(rows, hostile),
        plots.cost(rows, hostile),
        plots.say_difference(*runs.values()),
        plots.nothing(LONG, title=SCRIPT),
        explore(runs["attention"], hostile, keep=3),
        ResultsExplorer(folder, hostile),
    ]


@pytest.fixture(scope="module")
def page(shown, tmp_path_factory):
    """A page that shows all of it, as a file."""
    folder = tmp_path_factory.mktemp("hostile")
    cells = [new_markdown_cell("# Names")]
    for place, thing in enumerate(shown):
        data, metadata = DisplayFormatter().format(thing)
        data = {kind: value if isinstance(value, str) else _encoded(value) for kind, value in data.items()}
        output = new_output("display_data", data=data, metadata=metadata)
        cells.append(new_code_cell(f"show({place})", id=f"shown-{place}", outputs=[output]))
    nbformat.write(new_notebook(cells=cells), folder / "names.ipynb")
    named = {"title": "Names", "data": DATA, "generated": True, "profile": "smoke", "footer": DATA}
    path = folder / "names.html"
    path.write_text(render_notebook(folder / "names.ipynb", **named), encoding="utf-8")
    return path


def _encoded(value):
    from base64 import b64encode

    return b64encode(value).decode() if isinstance(value, bytes) else value


def test_names_are_text(page):
    html = page.read_text(encoding="utf-8")
    soup = BeautifulSoup(html, "html.parser")
    assert not soup.find_all(["b", "i"])
    for script in soup.find_all("script"):  # the view's own module, and data
        assert script.get("type") == "application/json" or script.get_text().startswith(
            MODULE.read_text("utf-8")
        )
        script.extract()
    assert not soup.find_all(href=lambda href: href and "x.example" in href)
    assert not soup.find_all(lambda element: any(name.startswith("on") for name in element.attrs))
    assert all(picture["src"].startswith("data:") for picture in soup.find_all("img"))
    assert not [letter for letter in html if letter != "\n" and ord(letter) < 32]
    said = soup.get_text()
    for name in (
        SCRIPT,
        'a, "quoted" & <b>bold</b>',
        "$x^2$ and $\\frac{1$",
        "](http://x.example)",
        "מימין לשמאל",
    ):
        assert name in said, name


def test_a_long_name_is_cut_and_there_in_full_when_pointed_at(page):
    soup = BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser")
    for data in soup.find_all("script"):
        data.extract()
    for text in soup.find_all(string=lambda text: LONG in text):
        assert text.parent.name in ("title", "figcaption") or "dmlkit-sentence" in text.parent.get("class", [])\
            or text.find_parent(["caption", "footer"]), text.parent  # fmt: skip
    pointed_at = [element["title"] for element in soup.find_all(title=True)]
    assert LONG in pointed_at
    assert any(
        LONG[:30] in element.get_text() and "…" in element.get_text() for element in soup.find_all("td")
    )


def test_a_class_without_a_readable_name_has_its_number(page):
    assert "class 3" in BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser").get_text()


def test_figures_parse_no_formula_and_say_the_names_on_one_line(shown):
    figures = [thing for thing in shown if isinstance(thing, Plot)]
    assert len(figures) >= 8
    for plot in figures:
        assert plot.png().startswith(b"\x89PNG")
        assert plot.alt.isprintable()
        assert not [text for text in plot.figure.findobj(Text) if text.get_text() and text.get_parse_math()]
        assert not [text for text in plot.figure.findobj(Text) if len(text.get_text()) > 330]
    assert any("$x^2$" in plot.alt for plot in figures)


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_runs_nothing_is_asked_for_and_the_page_keeps_its_width(chromium, page, width):
    view = chromium.new_page(viewport={"width": width, "height": 800})
    asked, complaints, dialogs = [], [], []
    view.on("request", lambda request: asked.append(request.url))
    view.on("console", lambda message: complaints.append(message.text))
    view.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    view.goto(page.as_uri())
    assert view.evaluate("document.scrollingElement.scrollWidth") <= width
    # The view of attention has bold words of its own.
    assert view.evaluate("document.querySelectorAll(':not(.dmlkit-place *):is(b, i)').length") == 0
    assert view.evaluate("[...document.querySelectorAll('b, i')].every(each => each.textContent !== 'bold')")
    assert [address for address in asked if not address.startswith("data:")] == [page.as_uri()]
    assert complaints == [] and dialogs == []
    view.close()


def test_the_index_shows_them_as_text(smoke_runs, generated):
    from dmlkit.report.pages.summary import summarize

    study = Study(generated, profile="smoke", runs=smoke_runs["lr"].path.parent, progress="silent")
    chapter = Chapter(
        name="01-a", title=SCRIPT, question=NAMES[1], status="not run", reason=f"it needs {SCRIPT}"
    )
    summary = summarize(study, [chapter], started="2026-01-01T00:00:00+00:00", seconds=1.0)
    for row in summary["ladder"]:
        row["title"] = NAMES[1]
    summary["data"] |= {"name": DATA, "notes": [SCRIPT], "features": {SCRIPT: 4}}
    soup = BeautifulSoup(render_index(summary | {"generated": False}, [chapter]), "html.parser")
    assert not soup.find_all(["script", "b", "i"])
    assert LONG not in soup.h1.get_text() and LONG in soup.h1.span["title"]
    assert NAMES[1] in soup.find("img")["alt"]
    assert f"Not run: it needs {SCRIPT}." in soup.get_text()


def test_a_vocabulary_gives_names_on_one_line_and_numbers_where_there_is_none(tmp_path):
    path = tmp_path / "vocabulary.csv"
    quoted = ['"' + name.replace('"', '""').replace("\ud800", "") + '"' for name in NAMES]
    lines = ["Index,Name", *(f"{number},{name}" for number, name in enumerate(quoted))]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="")
    names = read_vocabulary(str(path)).class_names(len(NAMES))
    assert all(name.isprintable() for name in names)
    assert names[0] == SCRIPT and names[1] == NAMES[1] and names[2] == LONG and names[3] == "class 3"
    assert "nul and lines" in names[8]
