"""Views in a page of the report: our module with its hash, their data as data, and nobody else's script."""

import base64
import copy
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_notebook, new_output, writes

from dmlkit.errors import DataError
from dmlkit.explorer.evidence import Evidence, scene
from dmlkit.explorer.saved_view import MIME, MODULE
from dmlkit.report.pages.inlining import as_data, read_scene
from dmlkit.report.pages.outside import outside_references
from dmlkit.report.pages.rendering import render_notebook

EVIL = "</script><script>alert(1)</script><!--\u2028&"
WIDGET = "application/vnd.jupyter.widget-view+json"


def made(name: str = "a") -> dict:
    evidence = Evidence(
        video="v",
        run="run",
        times=np.arange(3),
        weights=np.array([0.2, 0.3, 0.5]),
        classes=(0,),
        names=(name,),
        scores=np.array([0.5]),
        contributions=np.ones((3, 1)),
        biases=np.zeros(1),
    )
    said = scene({"v": [evidence]}, title=name, data="d", generated=True)
    return {
        **said,
        "state": {
            "frame": 1,
            "masked": [0],
            "top": None,
            "uniform": False,
            "temperature": 1,
            "shown": ["run"],
        },
    }


@pytest.fixture
def render(tmp_path):
    def rendered(*scenes, still: str = "<b>still</b>", before: str = "") -> tuple[str, BeautifulSoup]:
        data = [
            {MIME: each, WIDGET: {"model_id": "1"}, "text/html": still, "text/plain": "words"}
            for each in scenes
        ]
        outputs = [new_output("display_data", data={"text/html": before})] if before else []
        outputs += [new_output("display_data", data=each) for each in data]
        path = tmp_path / "n.ipynb"
        path.write_text(
            writes(new_notebook(cells=[new_code_cell("explore(run)", outputs=outputs, id="view")])),
            encoding="utf-8",
        )
        html = render_notebook(Path(path), title="N", data="d", generated=True, profile="smoke", footer="")
        return html, BeautifulSoup(html, "html.parser")

    return rendered


def policy(page: BeautifulSoup) -> str:
    return page.find("meta", attrs={"http-equiv": "Content-Security-Policy"})["content"]


def test_the_module_stands_once_and_the_policy_names_its_hash(render):
    html, page = render(made(), made("b"))
    (module,) = page.find_all("script", type="module")
    digest = base64.b64encode(hashlib.sha256(module.get_text().encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy(page) and "default-src 'none'" in policy(page)
    assert module.get_text().startswith(MODULE.read_text(encoding="utf-8"))
    scenes = [json.loads(each.get_text()) for each in page.find_all("script", type="application/json")]
    assert [each["title"] for each in scenes] == ["a", "b"]
    assert scenes[0]["videos"][0]["runs"] == made()["videos"][0]["runs"]
    assert scenes[0]["state"]["masked"] == [0] and scenes[0]["live"] is False
    assert len(page.find_all("script")) == 3 and outside_references(html) == []
    assert page.find(class_="dmlkit-place").b.get_text() == "still"
    assert "live" not in [each for tag in page.find_all(class_=True) for each in tag["class"]]


def test_a_page_without_views_has_no_script(render):
    html, page = render(before="<b>x</b>")
    assert not page.find("script") and "script-src" not in policy(page)
    assert "dmlkit-av" not in html


def test_the_module_can_stand_in_a_page():
    text = MODULE.read_text(encoding="utf-8")
    for forbidden in ("</script", "<!--", "\r", "http:", "https:", "innerHTML", "eval(", "import("):
        assert forbidden not in text, forbidden
    assert "fetch(" not in text and "XMLHttpRequest" not in text


def test_data_stay_data(render):
    html, page = render(
        made(EVIL), before="<script>alert(2)</script><script class='dmlkit-scene'>{}</script>"
    )
    assert "alert(1)</script>" not in html and "alert(2)" not in html
    (data,) = page.find_all("script", type="application/json")
    assert json.loads(data.get_text())["title"] == EVIL
    assert "\u2028" not in as_data(EVIL) and not set("<>&") & set(as_data(EVIL))
    assert outside_references(render(made("https://example.org/x.js"))[0]) == []


def spoiled(change) -> dict:
    said = copy.deepcopy(made())
    change(said)
    return said


@pytest.mark.parametrize(
    "said",
    [
        "<script>alert(1)</script>",
        ["<script>"],
        {},
        None,
        spoiled(lambda each: each.update(format=99)),
        spoiled(lambda each: each.update(title={"toString": "x"})),
        spoiled(lambda each: each.update(videos=[])),
        spoiled(lambda each: each["videos"][0].update(label=3)),
        spoiled(lambda each: each["videos"][0]["runs"][0].update(weights=[1, 2])),
        spoiled(lambda each: each["videos"][0]["runs"][0]["weights"].update(f32="!!")),
        spoiled(lambda each: each["videos"][0]["runs"][0]["weights"].update(f32="AADAfwAAwH8AAMB/")),
        spoiled(lambda each: each["state"].update(masked=["<b>"])),
    ],
    ids=range(12),
)
def test_what_is_no_scene_stays_what_stands_beside_it(render, said):
    with pytest.raises(DataError):
        read_scene(said)
    _, page = render(said)
    assert not page.find("script") and "script-src" not in policy(page)
    assert page.find("b").get_text() == "still"


def test_nothing_but_the_scene_is_kept():
    said = spoiled(lambda each: each.update(extra=EVIL, live=True))
    said["videos"][0]["runs"][0]["onload"] = EVIL
    said["state"]["removed"] = [1]
    read = read_scene(said)
    assert "alert" not in json.dumps(read) and read["live"] is False and "removed" not in read["state"]
    problem = {"run": "r", "video": "v", "problem": "p"}
    said["videos"][0]["runs"] = [{**problem, "more": 1}]
    assert read_scene(said)["videos"][0]["runs"] == [problem]


def test_the_same_notebook_gives_the_same_page(render):
    assert render(made())[0] == render(made())[0]
