"""The view in a saved page, opened from a file with the network off: what hands do, what eyes see, bad input."""

import csv
import io
import json
import re
import xml.dom.minidom
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output, writes

from dmlkit.explorer import weighing
from dmlkit.explorer.evidence import Evidence, scene
from dmlkit.explorer.saved_view import MIME
from dmlkit.report.pages.rendering import render_notebook

EVIL = '<img src=x onerror="window.hit=1"></script><b>bold</b> & “class”'


def scene_of(*runs: Evidence, **changes) -> dict:
    said = scene({runs[0].video: runs}, title="Where it looks", data="made up", generated=True)
    return json.loads(json.dumps({**said, **changes}))


class Opened:
    """A view in a page of the report."""

    def __init__(self, page):
        self.page, self.view = page, page.locator(".dmlkit-av").first
        self.slider = self.view.get_by_role("slider", name="Frame of the video")
        self.here, self.most, self.words = (
            self.view.locator(f".{name}") for name in ("here", "most", "words")
        )

    def tells(self, part: str, text: str, *, place: int = 0) -> None:
        """Wait until a part of a view holds a text: it is drawn with the next frame."""
        from playwright.sync_api import expect

        expect(self.page.locator(".dmlkit-av").nth(place).locator(f".{part}")).to_contain_text(text)

    def press(self, *keys: str) -> None:
        self.slider.focus()
        for key in keys:
            self.page.keyboard.press(key)

    def drag(self, start: float, end: float) -> None:
        """Over the weights, from one share of the width to another."""
        self.slider.evaluate("element => element.scrollIntoView()")
        box = self.slider.bounding_box()
        self.page.mouse.move(box["x"] + start * box["width"], box["y"] + 60)
        self.page.mouse.down()
        self.page.mouse.move(box["x"] + end * box["width"], box["y"] + 60, steps=6)
        self.page.mouse.up()

    def saved(self, kind: str) -> bytes:
        with self.page.expect_download() as download:
            self.view.get_by_role("button", name=f"Save {kind}").click()
        return Path(download.value.path()).read_bytes()

    def table(self) -> list[dict]:
        return list(csv.DictReader(io.StringIO(self.saved("CSV").decode("utf-8-sig"))))

    def scores(self) -> dict[str, float]:
        rows = self.view.locator(".scores tbody tr").all()
        return {
            row.locator("th").inner_text().removesuffix("✓").strip(): row.locator("td").first.inner_text()
            for row in rows
        }


@pytest.fixture
def opened(browser, tmp_path):
    """Open scenes in a page of the report; every page must do without the network."""
    pages = []

    def open_scene(*scenes: dict, width: int = 1200, theme: str = "light", height: int = 900) -> Opened:
        outputs = [
            [new_output("display_data", data={MIME: each, "text/html": "<p>still picture</p>"})]
            for each in scenes
        ]
        notebook = new_notebook(
            cells=[new_code_cell("dmlkit.explore(run, data)", outputs=each) for each in outputs]
        )
        path = tmp_path / "view.ipynb"
        path.write_text(writes(notebook), encoding="utf-8")
        html = tmp_path / f"view{len(pages)}.html"
        html.write_text(
            render_notebook(path, title="View", data="made up", generated=True, profile="smoke", footer=""),
            encoding="utf-8",
        )
        context = browser.chromium.new_context(
            viewport={"width": width, "height": height},
            color_scheme=theme,
            offline=True,
            accept_downloads=True,
        )
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.wrong = []
        page.on("pageerror", lambda error: page.wrong.append(str(error)))
        page.on(
            "console", lambda message: page.wrong.append(message.text) if message.type == "error" else None
        )
        page.on("request", lambda request: browser._look(request.url))
        page.goto(html.as_uri())
        page.locator(".dmlkit-av .here:not(:empty)").first.wait_for()
        pages.append(page)
        return Opened(page)

    yield open_scene
    assert [page.wrong for page in pages if page.wrong] == []
    for page in pages:
        page.context.close()
    assert browser.outside == []


def test_keys_move_through_the_frames(opened, sample_evidence):
    from playwright.sync_api import expect

    evidence = sample_evidence(frames=40)
    view = opened(scene_of(evidence))
    expect(view.slider).to_have_attribute("aria-valuenow", str(evidence.weights.argmax() + 1))
    for key, frame in (
        ("Home", 0),
        ("ArrowRight", 1),
        ("PageUp", 5),
        ("ArrowLeft", 4),
        ("End", 39),
        ("ArrowRight", 39),
        ("PageDown", 35),
    ):
        view.press(key)
        said = rf"{frame} s, weight {evidence.weights[frame]:.4f}, top class class "
        expect(view.slider).to_have_attribute("aria-valuetext", re.compile(f"^{said}"))
        expect(view.here).to_contain_text(f"Frame {frame + 1} of 40, at {frame} s")
    assert not view.page.get_by_text("still picture").count()


def test_masked_frames_give_their_weight_to_the_others(opened, sample_evidence):
    evidence = sample_evidence(frames=20)
    view = opened(scene_of(evidence))
    view.press("Home", "Space", "Shift+ArrowRight", "Shift+ArrowRight")
    view.view.locator("input[value=mask]").check()
    view.drag(0.975, 0.88)
    masked = [0, 1, 2, 17, 18, 19]
    expected = weighing.optimize_weights(evidence, masked=masked)
    rows = view.table()
    assert [row["state"] for row in rows] == ["masked" if t in masked else "kept" for t in range(20)]
    np.testing.assert_allclose([float(row["weight"]) for row in rows], expected, atol=1e-6)
    np.testing.assert_allclose([float(row["model weight"]) for row in rows], evidence.weights, atol=1e-6)
    for name, before, after in zip(
        evidence.names, evidence.scores, weighing.scores_of(evidence, expected), strict=True
    ):
        assert view.scores()[name] in (f"{before:.3f} → {after:.3f}", f"{before:.3f}")
    view.tells("most", "6 frames masked; largest change: class")
    view.drag(0.975, 0.93)  # a drag that begins on a masked frame gives frames back
    view.tells("most", "4 frames masked")
    view.view.get_by_role("button", name="Reset").click()
    view.tells("most", "Nothing is changed")


def test_temperature_top_and_uniform(opened, sample_evidence):
    evidence = sample_evidence(frames=20)
    view = opened(scene_of(evidence))
    view.view.get_by_role("slider", name="Keep the top frames").fill("5")
    view.view.get_by_role("slider", name="Temperature").fill("0.3")
    expected = weighing.optimize_weights(evidence, top=5, temperature=1.995)
    np.testing.assert_allclose([float(row["weight"]) for row in view.table()], expected, atol=1e-6)
    view.tells("words", "5 of 20 frames kept")
    view.tells("most", "temperature 2.00; the 5 heaviest kept; largest change")
    view.view.get_by_label("Uniform weights").check()
    assert {row["weight"] for row in view.table()} == {"0", "0.2"}


def test_the_decomposition_is_told(opened, sample_evidence):
    evidence = sample_evidence()
    view = opened(scene_of(evidence))
    cells = view.view.locator(".sums tbody tr").first.locator("td").all_inner_texts()
    total, bias, logit = (float(cell.replace("−", "-")) for cell in cells)
    assert bias == pytest.approx(evidence.biases[0], abs=0.006) and total + bias == pytest.approx(
        logit, abs=0.011
    )
    assert logit == pytest.approx(
        float(evidence.weights @ evidence.contributions[:, 0] + evidence.biases[0]), abs=0.006
    )
    occluded = opened(scene_of(sample_evidence(linear=False)))
    assert "not linear" in occluded.words.inner_text() and not occluded.view.locator(".sums").count()
    occluded.press("Space")
    occluded.tells("scores", "→ ?")
    occluded.tells("words", "The new scores cannot be computed here.")
    assert occluded.slider.get_attribute("aria-valuetext").endswith("masked, scores unknown")
    assert "occlusion by masking: score minus score with this frame's weight at zero" in _texts(occluded)


def test_what_needs_a_kernel_says_so(opened, sample_evidence):
    view = opened(scene_of(sample_evidence()))
    remove = view.view.get_by_role("radio", name="remove")
    assert remove.is_disabled()
    assert "this page has no kernel" in view.view.locator(".tool.remove").inner_text()


def test_runs_stand_side_by_side_and_videos_change(opened, sample_evidence):
    runs = ["Bi-GRU", "Bi-LSTM", "third"]
    videos = {
        f"v{seed}": [
            sample_evidence(seed=seed + k, run=name, video=f"v{seed}") for k, name in enumerate(runs)
        ]
        for seed in (1, 11)
    }
    view = opened(json.loads(json.dumps(scene(videos, title="t", data="d", generated=False))))
    assert {row["run"] for row in view.table()} == set(runs)
    before = view.slider.bounding_box()["height"]
    box = view.view.get_by_label("A Bi-GRU")
    box.uncheck()
    assert box.evaluate("element => element === document.activeElement"), "the hand is still where it was"
    assert {row["run"] for row in view.table()} == {"Bi-LSTM", "third"}
    assert view.slider.bounding_box()["height"] < before
    view.press("Space")
    view.view.get_by_label("Video", exact=True).select_option("v11")
    view.tells("most", "Nothing is changed")
    assert view.here.inner_text().startswith(f"Frame {videos['v11'][0].weights.argmax() + 1} of 12")


def test_each_video_shows_its_own_classes_until_a_hand_chooses(opened, sample_evidence):
    videos = {
        name: [
            replace(
                sample_evidence(video=name, classes=4, true=None, planted={}),
                classes=labels,
                names=tuple(f"c{label}" for label in labels),
            )
        ]
        for name, labels in (("v1", (0, 1, 2, 3)), ("v2", (5, 6, 7, 3)))
    }
    view = opened(json.loads(json.dumps(scene(videos, title="t", data="d", generated=False))))
    pick = view.view.get_by_label("Video", exact=True)

    def drawn() -> list[str]:
        return sorted(name for name in view.table()[0] if name.endswith(" share"))

    assert drawn() == ["c0 share", "c1 share", "c2 share"]
    pick.select_option("v2")
    assert drawn() == ["c5 share", "c6 share", "c7 share"]
    view.view.get_by_label("c3").check()
    pick.select_option("v1")
    assert drawn() == ["c3 share"]
    pick.select_option("v2")
    assert drawn() == ["c3 share", "c5 share", "c6 share", "c7 share"]


def test_what_is_saved_says_what_was_changed(opened, sample_evidence):
    view = opened(scene_of(sample_evidence(frames=20)))
    assert "Nothing is changed: these are the model's own weights." in _texts(view)
    view.press("Home", "Space", "Shift+ArrowRight")
    view.view.get_by_role("slider", name="Keep the top frames").fill("3")
    view.view.get_by_role("slider", name="Temperature").fill("0.5")
    changed = "temperature 3.16; the 3 heaviest kept; 2 frames masked"
    said = _texts(view)
    assert f"Changed: {changed}" in said and "Each class is drawn to its own scale." in said
    largest = max(float(row["weight"]) for row in view.table())
    assert f"largest {largest:.4f}" in said and len(re.findall(r"largest [+−]\d", said)) == 3
    assert {row["changed"] for row in view.table()} == {changed}
    view.view.get_by_label("Uniform weights").check()
    assert "Changed: the 3 heaviest kept; uniform weights; 2 frames masked" in _texts(view)


def test_the_axis_ends_with_the_frames(opened, sample_evidence):
    for frames in (1, 2, 5):
        ticks = re.findall(r"^-?[\d.]+$", _texts(opened(scene_of(sample_evidence(frames=frames)))), re.M)
        assert ticks and 0 <= min(map(float, ticks)) <= max(map(float, ticks)) <= frames - 1


def test_long_names_are_cut(opened, sample_evidence):
    names = ["long " * 40 + str(k) for k in range(3)]
    view = opened(scene_of(sample_evidence(names=names)), width=400)
    for table in (".scores", ".sums"):
        name = view.view.locator(f"{table} .name").first
        assert name.bounding_box()["height"] < 70
        assert name.get_attribute("title") in names
    view.press("Space")
    view.tells("most", "…")
    assert len(view.most.inner_text()) < 160


def _texts(view) -> str:
    """What the saved drawing says, a line a text."""
    drawing = xml.dom.minidom.parseString(view.saved("SVG"))
    return "\n".join(node.firstChild.data for node in drawing.getElementsByTagName("text"))


def test_two_views_in_a_page_are_independent(opened, sample_evidence):
    view = opened(scene_of(sample_evidence()), scene_of(sample_evidence()))
    view.press("Space")
    view.tells("most", "1 frame masked")
    view.tells("most", "Nothing is changed", place=1)


def test_pictures_and_numbers_can_be_saved(opened, sample_evidence):
    evidence = sample_evidence(frames=25, names=(EVIL, "=cmd()", "plain"))
    view = opened(scene_of(evidence))
    png, svg, rows = view.saved("PNG"), view.saved("SVG"), view.table()
    assert png.startswith(b"\x89PNG") and int.from_bytes(png[16:20], "big") == 1920
    drawing = xml.dom.minidom.parseString(svg).documentElement
    assert drawing.getAttribute("xmlns") == "http://www.w3.org/2000/svg"
    assert (
        "Where it looks on made up (generated data)"
        in drawing.getElementsByTagName("title")[0].firstChild.data
    )
    assert {node.tagName for node in drawing.childNodes} == {"title", "path", "text"}
    assert len(rows) == 25 and "'=cmd() share" in rows[0]


def test_text_from_data_is_text(opened, sample_evidence):
    evidence = sample_evidence(names=(EVIL, EVIL + "2", EVIL + "3"), run=EVIL)
    view = opened(scene_of(evidence, title=EVIL, data=EVIL, note=EVIL))
    view.view.get_by_role("button", name="Data table").click()
    assert view.page.evaluate("window.hit") is None
    assert not view.view.locator("img, script, .scores b").count()
    assert EVIL in view.view.locator(".scores").inner_text()


def test_the_data_table_opens_and_closes(opened, sample_evidence):
    view = opened(scene_of(sample_evidence(frames=1200, classes=2)))
    button, data = (
        view.view.get_by_role("button", name="Data table"),
        view.view.get_by_role("region", name="Data table"),
    )
    button.click()
    assert button.get_attribute("aria-expanded") == "true"
    assert data.locator("tbody tr").count() == 1000 and "of 1,200 rows" in data.inner_text()
    button.click()
    assert data.is_hidden()


@pytest.mark.parametrize("frames", [1, 2, 6000])
def test_any_number_of_frames_is_drawn(opened, sample_evidence, frames):
    evidence = sample_evidence(frames=frames)
    view = opened(scene_of(evidence))
    assert f"of {frames:,}" in view.here.inner_text()
    painted = view.page.evaluate(
        "() => { const c = document.querySelector('.strips canvas');"
        " return c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some(x => x); }"
    )
    assert painted and view.slider.bounding_box()["height"] > 200
    view.view.locator("input[value=mask]").check()
    view.drag(0.001, 0.999)
    view.tells("words", "Every frame is masked or removed")
    assert view.slider.get_attribute("aria-valuetext").endswith("masked, scores unknown")
    view.tells("scores", "→ ?")


def test_what_cannot_be_drawn_is_said(opened, sample_evidence):
    empty = opened(scene_of(sample_evidence(frames=0)))
    assert "no frames" in empty.here.inner_text()
    said = scene_of(sample_evidence())
    said["videos"][0]["runs"] = [{"run": "r", "video": "v", "problem": "weights holds nan at 3"}]
    broken = opened(said)
    assert broken.here.inner_text() == "weights holds nan at 3"
    broken.press("ArrowRight", "Space")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 400])
def test_it_can_be_read_by_everyone(opened, sample_evidence, tmp_path, theme, width):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    pair = [
        sample_evidence(frames=60, classes=6, seed=seed, run=name)
        for seed, name in enumerate(("Bi-GRU", "Bi-LSTM"))
    ]
    view = opened(scene_of(*pair), width=width, theme=theme)
    view.press("Home", "Space", "ArrowRight")
    assert view.slider.evaluate("element => getComputedStyle(element).outlineStyle") == "solid"
    view.view.get_by_role("button", name="Data table").click()
    view.page.screenshot(path=tmp_path / f"{theme}-{width}.png", full_page=True)
    assert view.page.evaluate("document.documentElement.scrollWidth") <= width
    found = axe.Axe().run(view.page, context=".dmlkit-av").response["violations"]
    assert [(each["id"], [node["html"][:120] for node in each["nodes"]]) for each in found] == []
    assert _contrast(view) >= 4.5


COLOURS = """view => {
    const canvas = document.createElement("canvas").getContext("2d");
    return ["ink", "soft", "ground"].map(name => {
        canvas.fillStyle = getComputedStyle(view).getPropertyValue("--av-" + name);
        canvas.fillRect(0, 0, 1, 1);
        return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
    });
}"""


def _contrast(view) -> float:
    """The least contrast of what is written on the canvas with its ground, as WCAG has it."""
    parts = np.array(view.view.evaluate(COLOURS)) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    *inks, ground = linear @ [0.2126, 0.7152, 0.0722] + 0.05
    return min(max(ink, ground) / min(ink, ground) for ink in inks)
