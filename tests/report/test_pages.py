"""Pages that hold all they show, run nothing of a notebook's, and ask for nothing outside."""

import base64
import hashlib
import json
from types import SimpleNamespace

import nbformat
import numpy as np
import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from dmlkit import plots
from dmlkit.experiments import find
from dmlkit.explorer.saved_view import MIME, MODULE
from dmlkit.report.build import Chapter, Report
from dmlkit.report.pages import (
    MAX_TEXT,
    WIDGET,
    cleaned,
    equations,
    render_index,
    render_notebook,
    sections_left_out,
    summarize,
)
from dmlkit.report.plan import Context

from .conftest import leave_lr, outside_references  # isort: skip

RAN = {"executed": "2026-03-08T14:05:00+00:00", "seconds": 200.0}
SCRIPT = "<script>alert(1)</script>"
HOSTILE = [
    SCRIPT,
    "<img src=x onerror=alert(2)>",
    "<svg><script>alert(3)</script><use href='http://x.example/#a'/></svg>",
    "<a href='javascript:alert(4)'>x</a><a href='data:text/html,<b>'>y</a>",
    "<iframe src='http://x.example'></iframe><object data='http://x.example'></object>",
    "<div style='background: url(http://x.example/a.png)' onclick='alert(5)'>x</div>",
    "<style>@import 'http://x.example/c.css'; p { background: url(\"d.png\") }</style>",
    "<video src='http://x.example/f.mp4' poster='http://x.example/g.png'></video>",
    "<picture><source srcset='data:image/png;base64,x 1x, http://x.example/i.png 2x'><img src='i.png'></picture>",
    "<link rel=stylesheet href='http://x.example/h.css'><meta http-equiv=refresh content='0; url=/'>",
    "<form action='http://x.example'><input name=a></form><base href='http://x.example'>",
    "</title></style></svg><script>alert(6)</script><!--><img src=x onerror=alert(7)>-->",
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(8)>",
    "](http://x.example) ![](http://x.example/p.png)",
]
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\3\x20\0\0\1\x2c").decode()


@pytest.fixture
def render(tmp_path):
    def rendered(*cells, **about):
        nbformat.write(new_notebook(cells=list(cells)), tmp_path / "n.ipynb")
        named = {"title": "N", "data": "d", "generated": True, "profile": "smoke", **RAN}
        html = render_notebook(tmp_path / "n.ipynb", **{"pages": {}} | named | about)
        return html, BeautifulSoup(html, "html.parser")

    return rendered


def shown(number, **data):
    data = {kind.replace("_", "/"): value for kind, value in data.items()}
    return new_code_cell("show()", outputs=[new_output("display_data", data)], id=f"c{number}")


def survey_plot():
    counts = plots.data.Survey(
        "train", np.array([3, 1]), np.array([1, 1, 2]), np.zeros(0, int), np.zeros(0, str)
    )
    return plots.data_survey(counts, SimpleNamespace(name="<b>", generated=False))


def policy(page):
    return page.find("meta", attrs={"http-equiv": "Content-Security-Policy"})["content"]


def test_what_others_wrote_runs_and_fetches_nothing(render):
    cells = [new_markdown_cell(f"x\n\n{each}", id=f"m{n}") for n, each in enumerate(HOSTILE)]
    for start, kind in ((0, "text_html"), (50, "text_markdown"), (100, "text_plain")):
        cells += [shown(start + n, **{kind: each}) for n, each in enumerate(HOSTILE)]
    stream = new_output("stream", text="\x1b[31mred\x1b[0m\x00 \x1b]8;;http://x.example\x07" + HOSTILE[1])
    error = new_output("error", ename=SCRIPT, evalue=SCRIPT, traceback=[SCRIPT])
    cells.append(new_code_cell(SCRIPT, outputs=[stream, error], id="last"))
    about = {name: f"{SCRIPT} {name}" for name in ("title", "data", "profile")}
    html, page = render(*cells, **about, pages={"01-a": SCRIPT, "n": "N"})
    assert outside_references(html) == []
    assert not page.find_all(["script", "iframe", "object", "form", "input", "svg"])
    for element in page.find_all(True):
        assert not [name for name in element.attrs if name.startswith("on")], element
        assert not str(element.get("href", "")).lower().startswith(("javascript", "data:text")), element
    assert len(page.find_all("meta")) == 4
    assert "default-src 'none'" in policy(page) and "script-src" not in policy(page)
    assert page.get_text().count(SCRIPT) >= 8 and "\x00" not in html and "\x1b" not in html


def test_what_is_harmless_stays():
    for html in (
        '<table class="dataframe"><tbody><tr><th scope="row">a</th><td colspan="2">1</td></tr></tbody></table>',
        '<style>#T_1 th { color: red; }</style><b id="T_1">x</b>',
        f'<a href="https://arxiv.org">paper</a><img src="data:image/png;base64,{PNG}" alt="a picture">',
        '<p style="background: url(data:image/png;base64,x)" aria-label="b" data-x="1">x</p>',
    ):
        assert cleaned(html) == html


def test_a_page_is_readable(render):
    markdown = "## Two\n\n#### Four\n\n[next](02-b.ipynb#x) [code](../a.py) [out](https://a.example)"
    table = "<table border=1><caption>A caption</caption><tbody><tr><td>1</td></tr></tbody></table>"
    optional = {"tags": ["optional"]}
    cells = [
        new_markdown_cell(markdown, id="a"),
        shown(1, text_html=table, text_plain="no"),
        shown(2, image_png=PNG, text_plain="<Figure>"),
        shown(3, text_plain="x" * (MAX_TEXT + 5)),
        new_markdown_cell("## Full", metadata=optional),
        shown(4, text_plain="shown alone"),
        new_markdown_cell("## Empty", metadata=optional),
        new_code_cell("left out", outputs=[new_output("stream", text="not applicable here")]),
    ]
    cells[:0] = [new_code_cell(f"{name} = 1", id=name) for name in ("one", "two")]
    _, page = render(
        *cells,
        pages={"01-a": "First", "n": "Here", "02-b": "Second"},
    )
    assert [heading.name for heading in page.find_all(["h1", "h2", "h3", "h4"])] == ["h1", "h2", "h3", "h2"]
    assert "shown alone" in page.get_text() and "Empty" not in page.get_text()
    links = {link.get_text(): link["href"] for link in page.find("main").find_all("a")}
    assert links == {"next": "02-b.html", "out": "https://a.example"}
    contents = {link.get_text(): link["href"] for link in page.find("nav", class_="contents").find_all("a")}
    assert (contents.pop("First"), contents.pop("Second")) == ("01-a.html", "02-b.html")
    assert (
        list(contents) == ["Two", "Full"] and page.find(attrs={"aria-current": "page"}).get_text() == "Here"
    )
    assert all(page.find("h2", id=target[1:]).get_text() == title for title, target in contents.items())
    steps = {link["rel"][0]: link["href"] for link in page.find("nav").find_all("a")}
    assert steps == {"prev": "01-a.html", "up": "index.html", "next": "02-b.html"}
    codes = [
        " ".join(code.find("pre").get_text().split()) for code in page.find_all("details", class_="code")
    ]
    assert codes == ["one = 1 two = 1", *["show()"] * 4]
    assert page.find("table").parent["aria-label"] == "A caption" and page.find("img")["alt"]
    assert "5 characters are left out;" in page.get_text()


def test_a_figure_has_a_picture_for_the_window_and_a_phone(render):
    plot = survey_plot()
    data, about = plot._repr_mimebundle_()
    cell = new_code_cell(
        "show", outputs=[new_output("display_data", data | {"image/png": PNG}, metadata=about)], id="plot"
    )
    html, page = render(cell, shown(1, text_html=plot.markup()))
    assert outside_references(html) == [] and not page.find_all(["svg", "style"])[1:]
    for picture in page.find_all("picture", limit=2):
        addresses = picture.source["srcset"], picture.img["src"]
        drawn = [base64.b64decode(address.split("base64,")[1]).decode() for address in addresses]
        assert drawn == [plot.narrow.svg(), plot.svg()] and picture.source["media"] == "(max-width: 40rem)"
        assert picture.img["alt"] == plot.alt and picture.find_parent(class_="picture") is None
    assert len(page.find_all("picture")) == 2


def digest(script):
    return base64.b64encode(hashlib.sha256(script.get_text().encode()).digest()).decode()


def test_a_view_is_drawn_by_our_module_alone(render, tmp_path):
    folder = tmp_path.resolve()
    scene = {"format": 1, "title": f"</script>{SCRIPT}<!--\u2028&"}
    data = {MIME: scene, WIDGET: {"model_id": "1"}, "text/html": f"<b>still</b>{SCRIPT}"}
    cell = new_code_cell("explore(run)", outputs=[new_output("display_data", data)], id="view")
    fake = shown(5, text_html="<script type='application/json' class='dmlkit-scene'>{}</script>")
    html, page = render(cell, fake)
    (module,) = page.find_all("script", type="module")
    assert f"; script-src 'sha256-{digest(module)}'" in policy(page)
    assert module.get_text().startswith(MODULE)
    (data,) = page.find_all("script", type="application/json")
    assert json.loads(data.get_text()) == scene and not set("<>&\u2028") & set(data.get_text())
    assert page.find(class_="dmlkit-place").b.get_text() == "still"
    assert len(page.find_all("script")) == 2 and outside_references(html) == []
    assert "media-src data:;" in policy(page)
    player = {"kind": "video", "path": f"{folder}/data/it's #1.mp4", "src": "http://x.example/f.mp4"}
    scene |= {"videos": [{"media": {"player": player}}, {"media": {}}, {}]}
    played = new_output("display_data", {MIME: scene})
    _, page = render(new_code_cell("explore(run)", outputs=[played]), folder=folder / "reports")
    assert "media-src data: 'self';" in policy(page)  # the page's own origin, or a file where it is one
    (data,) = page.find_all("script", type="application/json")
    found = json.loads(data.get_text())["videos"][0]["media"]["player"]
    assert found == {"kind": "video", "src": "../data/it%27s%20%231.mp4"}
    table = shown(6, text_html="<table data-searchable><thead><tr><th>a</th></tr></thead></table>")
    _, page = render(cell, table)
    both = [f"'sha256-{digest(each)}'" for each in page.find_all("script", type="module")]
    assert len(both) == 2 and policy(page).endswith(f"; script-src {' '.join(both)}")
    widget = new_output("display_data", {WIDGET: {"model_id": "1"}, "text/plain": "VBox(children=())"})
    _, page = render(new_code_cell("w", outputs=[widget], id="w"))
    assert "Open the notebook in JupyterLab" in page.get_text() and "VBox" not in page.get_text()


def test_results_and_index_show_the_runs_of_these_conditions(generated, tmp_path, leave_run):
    (tmp_path / "runs").mkdir()
    context = Context(generated, out=tmp_path, profile="smoke")
    context.data.__dict__["name"] = SCRIPT
    context.state.call = {"started": "2026-03-08T14:05:00+00:00", "seconds": 61.0, "threads": 1}
    leave_run(context.runs / "lr-00000000", name="lr")  # of other conditions
    run = leave_lr(context.study, leave_run, parameters=77, hardware={"cores": 2})
    lstm = leave_lr(context.study, leave_run, "lstm", quality=0.7, parameters=154)
    ablation = leave_lr(context.study, leave_run, "lr-no-norm", quality=0.9)
    chapters = (
        Chapter("01-baselines", SCRIPT, SCRIPT, "unchanged", html=tmp_path / "01-baselines.html", **RAN),
        Chapter("02-b", SCRIPT, SCRIPT, "failed", f"{SCRIPT} reached", kind="time limit", **RAN),
    )
    summary = summarize(context, chapters)
    json.dumps(summary, allow_nan=False)
    ladder = {row["name"]: row for row in summary["ladder"]}
    assert [ladder["lr"][name] for name in ("status", "parameters", "run")] == ["trained", 77, run.path.name]
    assert ladder["bi-lstm"]["status"] == "not trained"
    (step,) = summary["steps"]
    assert step["difference"] == pytest.approx(lstm.gap - run.gap) and step["parameters_ratio"] == 2
    html = render_index(summary | {"hardware": None}, Report(tmp_path, chapters, 61.0))
    page = BeautifulSoup(html, "html.parser")
    assert "<script" not in html and page.get_text().count(SCRIPT) >= 5 and outside_references(html) == []
    text = " ".join(page.get_text().split())
    assert f"{SCRIPT} ran out of time." in text
    assert "exit code was 6: a notebook ran into its time limit" in text and "8 March 2026, 14:05" in text
    steps = page.find("nav", class_="chapters").find_all("a")
    assert [(link["rel"], link["href"]) for link in steps] == [(["next"], "01-baselines.html")]
    assert (
        "These data are generated" in text and page.find("figure").picture.source and page.figure.img["alt"]
    )
    (found,) = page.find("table", class_="findings").tbody.find_all("tr")
    change, interval = f"{lstm.gap - run.gap:+.4f}", f"{step['low']:+.4f} to {step['high']:+.4f}"
    shown = [" ".join(cell.get_text(" ").split()) for cell in found.find_all(["th", "td"])]
    few = "too few videos for a test (80 < 100)"
    assert shown == ["LSTM against LR", change, f"{interval} {step['over']}", few, "154 parameters (× 2)"]
    assert f"LSTM against LR {change} ({interval}), 2 × the size." in page.find(class_="answer").get_text()
    # An ablation has the highest GAP@20: no row of the ladder is bold, and both are named.
    best, ladders = page.find(id="best").strong.get_text(), f"of the ladder: LSTM, {lstm.gap:.4f}"
    assert best.startswith(f"{find('lr-no-norm').title}, {ablation.gap:.4f}") and ladders in text
    assert not page.find("tr", class_="best")
    (ablation.path / "run.json").unlink()
    summary = summarize(context, ()) | {"hardware": None}
    page = BeautifulSoup(render_index(summary, Report(tmp_path, (), 61.0)), "html.parser")
    assert page.find("tr", class_="best").th.get_text() == "LSTM" and "of the ladder:" not in page.get_text()
    (lstm.path / "predictions.npz").write_bytes(b"damaged")
    summary = summarize(context, ())
    assert summary["steps"] == [] and "predictions.npz" in summary["unreadable"]


def test_an_empty_section_is_listed_with_what_fills_it(tmp_path):
    cells = [
        new_markdown_cell("## Extra\n\ntext", metadata={"tags": ["optional"], "made_by": "--beyond"}),
        new_code_cell("x", outputs=[new_output("stream", text="not applicable here")]),
        new_markdown_cell("## Full", metadata={"tags": ["optional"], "made_by": "--beyond"}),
        shown(1, text_plain="a table"),
    ]
    nbformat.write(new_notebook(cells=cells), tmp_path / "06-a.ipynb")
    about = {"html": tmp_path / "06-a.html", "notebook": tmp_path / "06-a.ipynb"}
    chapters = [Chapter("06-a", "A", "", "executed", **about), Chapter("07-b", "B", "", "failed")]
    assert sections_left_out(chapters) == [("06-a, Extra", "--beyond")]


def test_equations_are_mathml_that_survives_sanitizing_and_code_is_left():
    html = equations(
        r"<p>$\alpha_t$ and $$\sum_i p(i) &lt; 1$$</p><pre>$x$</pre><code>$y$</code> for $5 or $6"
    )
    assert html.count("<math") == 2 and 'display="block"' in html and "$x$" in html and "$y$" in html
    assert "for $5 or $6" in html and "\\alpha" not in html
    assert cleaned(html).count("<msub>") == html.count("<msub>") == 1 and 'display="block"' in cleaned(html)
    assert "<script" not in cleaned(equations("<p>$$&lt;script&gt;alert(1)&lt;/script&gt;$$</p>"))
