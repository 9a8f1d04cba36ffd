import nbformat
import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from dmlkit.report import outside_references
from dmlkit.report.pages.rendering import WIDGET, render_notebook

DOT = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

NAMED = {
    "title": "A <small> title", "data": "some <data>", "generated": False, "profile": "smoke", "footer": "By hand."
}  # fmt: skip


def shown(data, metadata=None):
    return new_output("display_data", data=data, metadata=metadata or {})


@pytest.fixture
def render(tmp_path):
    def go(*cells, **more):
        path = tmp_path / "05-small.ipynb"
        nbformat.write(new_notebook(cells=list(cells)), path)
        named = NAMED | more
        html = render_notebook(path, **named)
        return html, BeautifulSoup(html, "html.parser")

    return go


def test_a_page_has_a_language_a_title_and_one_heading(render):
    _, page = render(new_markdown_cell("# First\n\ntext"), new_markdown_cell("# Second\n\n## Third"))
    assert page.html["lang"] == "en"
    assert page.title.string == "A <small> title · some <data> · dmlkit"
    assert [heading.get_text() for heading in page.find_all("h1")] == ["First"]
    assert [heading.get_text() for heading in page.find_all("h2")] == ["Second", "Third"]
    assert page.find("meta", attrs={"name": "viewport"})


def test_it_says_which_data_and_loudly_that_they_were_generated(render):
    _, page = render(new_markdown_cell("# A"))
    assert "some <data>" in page.find(class_="kicker").get_text()
    assert not page.find(class_="loud")
    _, page = render(new_markdown_cell("# A"), generated=True)
    assert page.find(class_="loud").get_text() == "generated: some <data>"


def test_messages_are_folded_away_but_there(render):
    _, page = render(new_code_cell("1", outputs=[new_output("stream", name="stderr", text="a warning")]))
    assert page.find("details", class_="aside").pre.get_text() == "a warning"


def test_a_notebook_without_a_heading_is_given_its_title(render):
    _, page = render(new_markdown_cell("text"))
    assert [heading.get_text() for heading in page.find_all("h1")] == ["A <small> title"]


def test_code_is_folded_away_but_there(render):
    _, page = render(new_code_cell("study = Study(dataset)\nwalk.train('lr')  # a & b", id="train"))
    details = page.find("details", class_="code")
    assert not details.has_attr("open")
    assert details.summary.code.get_text() == "study = Study(dataset)"
    assert "study.train('lr')  # a & b" in details.find("pre").get_text()


def test_text_from_data_is_text(render):
    hostile = "<script>alert(1)</script>"
    html, page = render(
        new_code_cell(
            f"x = '{hostile}'",
            outputs=[
                new_output("stream", text=hostile),
                new_output("execute_result", data={"text/plain": hostile}),
                new_output("display_data", data={"text/markdown": hostile}),
                new_output("error", ename="E", evalue=hostile, traceback=[hostile]),
                shown({"image/png": DOT}, {"image/png": {"alt": f'">{hostile}'}}),
            ],
        )
    )
    assert not page.find("script")
    assert html.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 4
    assert page.find("img")["alt"] == f'">{hostile}'


def test_scripts_and_frames_in_an_output_are_left_out(render):
    html, page = render(
        new_code_cell(
            "1",
            outputs=[
                shown({"text/html": "<b>kept</b><script src='https://cdn.example/x.js'></script><iframe></iframe>"}),
                shown({"application/javascript": "alert(1)", "text/plain": "instead"}),
            ],
        )
    )  # fmt: skip
    assert page.find("b").get_text() == "kept"
    assert "instead" in html
    assert not page.find(["script", "iframe"])
    assert outside_references(html) == []


def test_a_page_is_whole_and_forbids_itself_to_fetch(render):
    html, page = render(new_markdown_cell("# A\n\n[a paper](https://example.org), $x^2$"), new_code_cell("1"))
    assert outside_references(html) == []
    assert page.find("a", href="https://example.org")
    policy = page.find("meta", attrs={"http-equiv": "Content-Security-Policy"})["content"]
    assert "default-src 'none'" in policy
    assert "prefers-color-scheme: dark" in html
    assert len(html) < 30_000, "an empty page should weigh next to nothing"


def test_pictures_carry_their_alternative_text(render):
    _, page = render(
        new_code_cell(
            "1", outputs=[shown({"image/png": DOT, "text/plain": "x"}, {"image/png": {"alt": "A dot."}})]
        )
    )
    assert page.find("img")["alt"] == "A dot."
    assert page.find("img")["src"].startswith("data:image/png;base64,")
    assert "x" not in [pre.get_text() for pre in page.find_all("pre")]


def test_a_live_view_leaves_what_stands_for_it_and_a_word_where_to_find_it(render):
    view = {"model_id": "1", "version_major": 2, "version_minor": 0}
    html, page = render(
        new_code_cell("a", outputs=[shown({WIDGET: view, "text/html": "<b>still</b>", "text/plain": "x"})]),
        new_code_cell(
            "b", outputs=[shown({WIDGET: view, "text/plain": "VBox(children=(IntSlider(value=0),))"})]
        ),
        new_code_cell("c", outputs=[shown({WIDGET: view, "text/plain": "Weights over time."})]),
    )
    assert page.find("b").get_text() == "still"
    _, told = render(
        new_code_cell("d", outputs=[shown({WIDGET: view, "text/html": "Open it in JupyterLab."})])
    )
    assert not told.find(class_="live"), "it says so itself"
    assert html.count("Open the notebook in JupyterLab") == 3
    assert "VBox" not in html
    assert "Weights over time." in html
    assert "model_id" not in html


def test_widget_state_is_left_out(tmp_path):
    notebook = new_notebook(cells=[new_markdown_cell("# A")])
    notebook.metadata["widgets"] = {"application/vnd.jupyter.widget-state+json": {"state": {"secret": {}}}}
    nbformat.write(notebook, tmp_path / "01-a.ipynb")
    html = render_notebook(tmp_path / "01-a.ipynb", **NAMED)
    assert "secret" not in html


def test_tables_scroll_by_themselves(render):
    _, page = render(
        new_code_cell("1", outputs=[shown({"text/html": "<table border='1'><tr><td>1</td></tr></table>"})])
    )
    region = page.find("table").parent
    assert (region["class"], region["tabindex"], region["role"]) == (["scroll"], "0", "region")
    assert not page.find("table").has_attr("border")


def test_neighbours_and_links_between_notebooks(render):
    _, page = render(
        new_markdown_cell(
            "# A\n\n[next](06-next.ipynb), [absent](07-absent.ipynb), [code](../dmlkit/x.py), [up](#a)"
        ),
        previous={"html": "04-before.html", "title": "Before"},
        following={"html": "06-next.html", "title": "Next"},
        pages=["05-small", "06-next"],
    )
    places = {link.get_text(): link["href"] for link in page.find_all("a")}
    assert places["next"] == "06-next.html"
    assert "absent" not in places
    assert "code" not in places
    assert places["up"] == "#a"
    assert page.find("a", rel="prev")["href"] == "04-before.html"
    assert page.find("a", rel="next")["href"] == "06-next.html"
    assert page.find("a", rel="up")["href"] == "index.html"


def test_the_cell_that_failed_is_open_and_can_be_linked_to(render):
    failed = new_code_cell("1 / 0", id="divide", metadata={"papermill": {"status": "failed"}})
    failed.outputs = [
        new_output("error", ename="E", evalue="", traceback=["\x1b[0;31mZeroDivisionError\x1b[0m: division"])
    ]
    banner = new_markdown_cell(
        "**This notebook stopped**", id="stopped", metadata={"tags": ["report-banner"]}
    )
    html, page = render(banner, failed)
    assert page.find(id="divide").details.has_attr("open")
    assert "notice" in page.find(id="stopped")["class"]
    assert "ZeroDivisionError: division" in page.find(class_="error").get_text()
    assert "\x1b" not in html


@pytest.mark.parametrize(
    "html",
    [
        '<p onclick="go()">kept</p>',
        "<!--><img src=x onerror=go()>--><p>kept</p>",
        '<a href="java\nscript:go()">kept</a>',
        '<svg><a xlink:href=" javascript:go()"><text>kept</text></a></svg>',
        '<svg><a><animate attributeName="href" values="javascript:go()"/><text>kept</text></a></svg>',
        '<form action="https://x.example/"><button formaction="https://x.example/">kept</button></form>',
        '<p style="background: u\\72l(https://x.example/)">kept</p>',
        '<style>p { background: image-set("https://x.example/a.png" 1x) } @import "https://x.example"</style><p>kept</p>',
        '<svg><rect filter="url(https://x.example/a.svg#b)"/></svg><p>kept</p>',
        '<img src="https://x.example/a.png" srcset="https://x.example/b.png 2x" alt="kept">',
        '<video src="https://x.example/a.mp4" poster="b.png" title="kept"></video>',
        '<noscript><p title="</noscript><img src=x onerror=go()>"></noscript><p>kept</p>',
        '<base href="https://x.example/"><meta http-equiv="refresh" content="0; https://x.example/"><p>kept</p>',
    ],
)
@pytest.mark.parametrize("prose", [False, True], ids=["output", "prose"])
def test_what_runs_fetches_or_sends_is_taken_out_of_a_notebooks_own_html(render, html, prose):
    cell = (
        new_markdown_cell(f"# A\n\n{html}")
        if prose
        else new_code_cell("1", outputs=[shown({"text/html": html})])
    )
    page, soup = render(cell)
    assert "kept" in soup.find("main").get_text()
    assert outside_references(page) == []
    assert "x.example" not in str(soup.main)
    assert "go()" not in str(soup.main)


def test_a_style_sheet_reaches_its_own_cell_only(render):
    css = "body, .a:is(b, i) { color: red; position: fixed } @media print { p { color: blue } } </style>"
    _, page = render(new_code_cell("1", id="own", outputs=[shown({"text/html": f"<style>{css}<p>kept</p>"})]))
    said = page.main.style.get_text()
    assert said.count(':where([id="own"]) ') == 3
    assert "color: red" in said and "fixed" not in said and "@media" in said


def test_levels_of_headings_are_not_left_out(render):
    _, page = render(new_markdown_cell("# A\n\n#### deep\n\n## up\n\n##### deep again"))
    assert [heading.name for heading in page.find_all(["h1", "h2", "h3", "h4", "h5"])] == [
        "h1",
        "h2",
        "h2",
        "h3",
    ]


def test_characters_that_no_page_can_hold_are_left_out(render):
    html, _ = render(new_code_cell("1", outputs=[new_output("stream", text="a\x00b\x07c\x1b[2Kd\x9be")]))
    assert "abc" in html and not any(letter in html for letter in "\x00\x07\x1b\x9b")
