"""Reports in a real browser, from files, with the network off: what they ask for, how they read, fit and print."""

import json
import re
from base64 import b64encode
from itertools import pairwise

import nbformat
import numpy as np
import pandas as pd
import pytest
from axe_playwright_python.sync_playwright import Axe
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from dmlkit import plots
from dmlkit.report import build_report
from dmlkit.report.chapters import Chapter, Failure
from dmlkit.report.pages.index import render_index
from dmlkit.report.pages.rendering import WIDGET, render_notebook

NAMES = ("index", "01-first", "02-second", "03-rich", "04-dead", "incomplete")
STOPPED = "**This notebook stopped**: the kernel died while the cell below ran.\n\n```text\nKilled\n```"
RAW = """<div onclick="document.title = 'clicked'" style="background: url(http://x.example/a.png)">raw</div>
<script>document.title = 'ran'</script><img src="http://x.example/b.png" alt="A far dog"><img src="near.png">
<a href="javascript:document.title = 'followed'">follow</a><iframe src="http://x.example"></iframe>
<style>body { display: none } @import "http://x.example/c.css"; p { background: url("d.png") }</style>
<!--><img src=x onerror="document.title = 'failed'">--><svg><use href="http://x.example/e.svg#a"/></svg>
<video src="http://x.example/f.mp4" poster="g.png"></video><link rel="stylesheet" href="http://x.example/h.css">"""


@pytest.fixture(scope="module")
def report(generated, tmp_path_factory):
    """The folder of a small report, and beside it pages that hold whatever a notebook may show."""
    folder = tmp_path_factory.mktemp("browser")
    notebooks = folder / "notebooks"
    notebooks.mkdir()
    _write(
        notebooks / "01-first.ipynb",
        "# The first chapter\n\nDoes it **run**? [On](02-second.ipynb).",
        "print(1)",
    )
    _write(notebooks / "02-second.ipynb", "# The second chapter\n\nDoes it stop?", "1 / 0  # on purpose")
    out = folder / "report"
    build_report(data=generated, profile="smoke", out=out, folder=notebooks, echo=lambda line: None)
    data = {"data": "made up", "generated": True, "profile": "smoke", "footer": "By hand."}
    around = {"previous": {"html": "01-first.html", "title": "First"}, "pages": ["01-first"]}
    for name, cells in {"03-rich": _rich(), "04-dead": _dead(), "05-long": _long()}.items():
        nbformat.write(new_notebook(cells=cells), folder / f"{name}.ipynb")
        html = render_notebook(folder / f"{name}.ipynb", title=name, **data, **around)
        (out / f"{name}.html").write_text(html, encoding="utf-8")
    summary = json.loads((out / "results.json").read_text())
    (out / "incomplete.html").write_text(render_index(summary, _chapters(out)), encoding="utf-8")
    return out


def _write(path, *sources):
    parameters = 'data: str = ""  # folder\nprofile: str = ""  # name\nruns: str = ""  # folder\n'
    parameters += "seed: int = 0  # of all\ndeterministic: bool = False  # same numbers\n"
    cells = [new_markdown_cell(sources[0], id="ask")]
    cells.append(new_code_cell(parameters, metadata={"tags": ["parameters"]}, id="parameters"))
    cells += [new_code_cell(source, id=f"cell-{place}") for place, source in enumerate(sources[1:])]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": kernel, "dmlkit": {}}), path)


def _rich() -> list:
    wide = pd.DataFrame(
        np.arange(64).reshape(4, 16) / 7, columns=[f"a column {number}" for number in range(16)]
    )
    pictures, _ = plots.nothing("there is none.", title="Picture")._repr_mimebundle_()
    png = b64encode(pictures["image/png"]).decode()
    shown = [
        {"text/html": plots.numbers(wide, title="A wide table").to_html()},
        {"text/html": RAW},
        {"text/html": "<h4>A heading two levels down</h4>"},
        {WIDGET: {"model_id": "1", "version_major": 2, "version_minor": 0}, "text/plain": "A view."},
        {"image/png": png, "text/plain": "<Figure size 640x480 with 1 Axes>"},
    ]
    outputs = [new_output("display_data", data=data) for data in shown]
    outputs.append(
        new_output(
            "display_data", data={"image/png": png}, metadata={"image/png": {"alt": "A picture of nothing."}}
        )
    )
    outputs += [
        new_output("stream", name="stdout", text="word " * 400),
        new_output("stream", name="stderr", text="!"),
    ]
    code = "def f(x):\n    return x  # " + "very long " * 30
    cells = [
        new_markdown_cell(
            "# Rich\n\n```python\n" + "x = 1  " * 60 + "\n```\n\n![far](http://x.example/i.png)"
        )
    ]
    return cells + [new_code_cell(code, outputs=[output], id=f"rich-{n}") for n, output in enumerate(outputs)]


def _long() -> list:
    text = {"text/plain": "long " * 2_000_000 + "END"}
    table = {"text/html": pd.DataFrame({"row": range(5000)}).to_html()}
    outputs = [new_output("display_data", data=data) for data in (text, table)]
    return [new_code_cell("show()", outputs=[output], id=f"long-{n}") for n, output in enumerate(outputs)]


def _dead() -> list:
    died = new_code_cell(
        "while True: more.append(bytes(10**9))", id="dies", metadata={"papermill": {"status": "failed"}}
    )
    banner = new_markdown_cell(STOPPED, id="stopped", metadata={"tags": ["report-banner"]})
    return [banner, new_markdown_cell("# Dead"), died]


def _chapters(out) -> list[Chapter]:
    ran = {"executed": "2020-02-03T04:05:00+00:00", "seconds": 61.0}
    died = Failure(kind="kernel died", cell=2, message="Killed, likely for want of memory.")
    stopped = Failure(kind="interrupted", cell=2, message="Interrupted.")
    told = [
        ("01-first", "unchanged", {"html": out / "01-first.html"} | ran),
        (
            "02-second",
            "failed",
            {"html": out / "04-dead.html", "failure": died, "reason": died.message} | ran,
        ),
        ("03-rich", "interrupted", {"html": out / "03-rich.html", "failure": stopped} | ran),
        ("04-dead", "not run", {"reason": "it needs lstm, which 02-second did not leave"}),
        ("05-none", "not applicable", {"reason": "it reads frames"}),
    ]
    return [
        Chapter(name=name, title=f"Chapter {name[:2]}", question="Is it so?", status=status, **more)
        for name, status, more in told
    ]


@pytest.fixture
def look(chromium, report):
    """Open a page of the report; what it asked for and said is in `page.asked` and `page.said`."""
    contexts = []

    def go(name, *, width=1280, scheme="light", scripts=True):
        context = chromium.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, java_script_enabled=scripts
        )
        contexts.append(context)
        context.set_offline(True)
        page = context.new_page()
        page.asked, page.said = [], []
        page.on("request", lambda request: page.asked.append(request.url))
        page.on("console", lambda message: page.said.append(message.text))
        page.goto((report / f"{name}.html").as_uri())
        return page

    yield go
    for context in contexts:
        context.close()


def test_a_page_asks_for_itself_alone_also_after_every_link(look, report):
    for name in NAMES:
        page = look(name)
        links = page.eval_on_selector_all("a[href]", "all => all.map(one => one.getAttribute('href'))")
        for link in sorted({link for link in links if not link.startswith(("http", "mailto:", "#"))}):
            if page.url != (report / f"{name}.html").as_uri():
                page.goto((report / f"{name}.html").as_uri())
            page.locator(f'a[href="{link}"]').first.click()
            page.wait_for_url(f"**/{link}")
        asked = {address.split("#")[0] for address in page.asked if not address.startswith("data:")}
        assert asked <= {path.as_uri() for path in report.iterdir()}, name
        assert page.said == [], "the policy had to hold something back"


def test_nothing_of_a_notebooks_own_html_runs_or_restyles_the_page(look):
    page = look("03-rich")
    page.get_by_text("raw", exact=True).click()
    page.get_by_text("follow", exact=True).click()
    assert page.title().startswith("03-rich")
    assert page.locator("body").is_visible()
    assert page.get_by_text("A picture that lies outside this page: A far dog").is_visible()
    assert page.locator("#rich-1 script, #rich-1 iframe, #rich-1 video[src], #rich-1 [onclick]").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_no_serious_finding_of_axe_and_nothing_wider_than_the_page(look, report, width, scheme):
    page = look("index", width=width, scheme=scheme)
    for name in NAMES:
        page.goto((report / f"{name}.html").as_uri())
        told = Axe().run(page).response
        assert len(told["passes"]) > 10, "axe did not look"
        found = told["violations"]
        grave = [f"{each['id']}: {each['nodes'][0]['html'][:200]}" for each in found
                 if each["impact"] in ("serious", "critical")]  # fmt: skip
        assert not grave, f"{name}, {width}, {scheme}"
        assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth"), name


def test_one_heading_headings_in_order_and_pictures_in_words(report):
    for name in NAMES:
        soup = BeautifulSoup((report / f"{name}.html").read_text(encoding="utf-8"), "html.parser")
        levels = [int(heading.name[1]) for heading in soup.find_all(re.compile("^h[1-6]$"))]
        assert levels.count(1) == 1 and levels[0] == 1 and soup.html["lang"] == "en"
        assert all(after <= before + 1 for before, after in pairwise(levels)), levels
        for picture in soup.find_all("img"):
            assert re.search(r"^[A-Z].* .*\w", picture["alt"]) and "<Figure" not in picture["alt"]


def test_code_is_folded_away_but_there_without_scripts(look):
    page = look("01-first", scripts=False)
    code = page.locator("#cell-0 details.code .highlight")
    assert not code.is_visible()
    page.locator("#cell-0 summary").click()
    assert code.is_visible() and "print(1)" in code.inner_text()


def test_print_holds_prose_and_outputs_on_the_papers_width_dark_on_white(look, report):
    page = look("index", width=680, scheme="dark")  # A4 between margins of 15 mm
    page.emulate_media(media="print", color_scheme="dark")
    for name in NAMES:
        page.goto((report / f"{name}.html").as_uri())
        opened = page.locator("details.code:visible, nav:visible").count()
        assert opened == (name in ("02-second", "04-dead")), "what failed stays open"
        assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth"), name
        cut = page.eval_on_selector_all(
            ".scroll, .output pre, figure",
            "all => all.filter(one => one.scrollWidth > one.clientWidth + 1).length",
        )
        assert cut == 0, name
        ink = page.evaluate("getComputedStyle(document.body).color")
        assert max(map(int, re.findall(r"\d+", ink)[:3])) < 100, f"{ink} on white paper"
    assert page.pdf().startswith(b"%PDF")


def test_long_outputs_are_shortened_and_say_so(look, report):
    html = (report / "05-long.html").read_text(encoding="utf-8")
    assert len(html) < 300_000
    page = look("05-long", width=390)
    assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")
    text = page.locator("#long-0").inner_text()
    assert "9,940,003 characters are left out here" in text and text.rstrip().endswith("END")
    assert "The first 500 of 5,000 rows" in page.locator("#long-1").inner_text()


def test_the_index_tells_what_failed_first_and_how_every_notebook_ended(look):
    page = look("incomplete")
    notices = page.locator(".notice").all_inner_texts()
    assert "This report is incomplete." in notices[0] and "Call the same command again" in notices[0]
    assert "Chapter 02 lost its kernel." in notices[1] and "want of memory" in notices[1]
    assert page.locator(".notice a").first.get_attribute("href") == "04-dead.html#stopped"
    lines = page.locator(".chapter-list li").all_inner_texts()
    assert "executed, 1 min 01 s on 3 February 2020" in lines[0].replace("\n", " ")
    assert "Not run: it needs lstm, which 02-second did not leave." in lines[3]
    assert "Not applicable here: it reads frames." in lines[4]
    assert "exit code was 130: interrupted" in page.locator("main").inner_text()
    page = look("index")
    assert "stopped at an error" in page.locator(".notice").first.inner_text()
    assert "exit code was 4: a cell failed" in page.locator("main").inner_text()
