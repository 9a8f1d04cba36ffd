"""The view in a browser: its arithmetic is Python's, and what mouse, keyboard, kernel and bad data do to it."""

import base64
import csv
import io
import json
import re
import time
import xml.dom.minidom
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote, unquote

import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from dmlkit.data.schema import ThumbnailSettings
from dmlkit.errors import DataError
from dmlkit.explorer.evidence import class_scores, reweight, scene
from dmlkit.explorer.media import media_of
from dmlkit.explorer.saved_view import MIME, MODULE, STYLE
from dmlkit.report.pages import render_notebook

expect = pytest.importorskip("playwright.sync_api").expect
SOURCE = SimpleNamespace(
    title="Attention of it", data="made up", generated=True, runs=["r"], videos={}, note=None,
    class_names=["class 0"], class_groups={},
)  # fmt: skip
EVIL = '<img src=x onerror="window.hit=1"></script><b>bold</b> & “class”'

WEIGH = """async ([module, evidence, states]) => {
    const view = await import(URL.createObjectURL(new Blob([module], {type: "text/javascript"})));
    return states.map(state => {
        const found = view.weigh(view.decode(evidence), {...state, masked: new Set(state.masked)});
        return [found.known, [...found.weights], found.scores && [...found.scores], found.entropy];
    });
}"""

# A saved page shows the scene; a live one has a model as anywidget gives it, whose kernel the test plays.
START = """async ([module, style, scene, live]) => {
    const code = await import(URL.createObjectURL(new Blob([module], {type: "text/javascript"})));
    document.head.append(Object.assign(document.createElement("style"), {textContent: style}));
    if (!live) { window.view = code.show(document.body.appendChild(document.createElement("div")), scene); return; }
    const state = {scene, frame: 0, masked: [], removed: [], temperature: 1, top: null, uniform: false, classes: [0],
        shown: ["Attention"], problem: "", menu: live}, listeners = {};
    Object.assign(window, {sent: [], saved: 0, state, hooks: {}});
    window.tell = (name, ...what) => (listeners[name] ?? []).forEach(each => each(...what));
    window.put = (name, value) => { state[name] = value; tell("change:" + name); };
    const model = {
        get: name => state[name], set: (name, value) => { state[name] = value; }, save_changes: () => { saved++; },
        send: message => sent.push(message), on: (name, f) => (listeners[name] ??= []).push(f),
        off: (name, f) => { listeners[name] = (listeners[name] ?? []).filter(each => each !== f); },
    };
    const place = () => document.body.appendChild(document.createElement("div"));
    window.another = () => code.default.render({model, hooks, el: place()});
    window.leave = another();
    window.listening = () => Object.values(listeners).flat().length;
}"""
MENU = {
    "order": "order", "orders": [["order", "in order"], ["class", "of a class"]],
    "label": 2, "classes": [[2, "cat (9)"], [5, "dog (3)"]],
    "videos": [["video0000", "first"], ["w", "second"]], "total": 250, "all": 250,
}  # fmt: skip


class View:
    """A view in a page, as its user has it."""

    def __init__(self, page):
        self.page, self.root = page, page.locator(".dmlkit-av").first
        self.slider = self.root.get_by_role("slider", name="Frame of the video")

    def expect(self, part: str, text: str) -> None:
        expect(self.root.locator(f".{part}")).to_contain_text(text)

    def press(self, *keys: str) -> None:
        self.slider.focus()
        for key in keys:
            self.page.keyboard.press(key)

    def drag(self, start: float, end: float, *, part=".strips", y=60) -> None:
        """Drag over the figure or the overview, from and to fractions of the video."""
        box = self.root.locator(part).bounding_box()
        left, width = box["x"] + 98, box["width"] - 104
        self.page.mouse.move(left + start * width, box["y"] + y)
        self.page.mouse.down()
        self.page.mouse.move(left + end * width, box["y"] + y, steps=6)
        self.page.mouse.up()

    def wheel(self, part: str, across: int, down: int, *, ctrl=False) -> None:
        self.root.locator(part).hover(position={"x": 400, "y": 20})
        if ctrl:
            self.page.keyboard.down("Control")
        self.page.mouse.wheel(across, down)
        self.page.keyboard.up("Control")

    def receives(self, name: str, expected, within: int = 0) -> None:
        """Wait until a trait of the kernel's model is this; its frames may be off by `within`."""
        for _ in range(100):
            found = self.page.evaluate("name => state[name] ?? null", name)
            numbers = within and found and len(found) == len(expected)
            if found == expected or (numbers and np.abs(np.subtract(found, expected)).max() <= within):
                return
            time.sleep(0.03)
        raise AssertionError(f"{name} is {found}, not {expected}")

    def button(self, name: str):
        return self.root.get_by_role("button", name=name)

    def put(self, name: str, value) -> None:
        """Play the kernel: set a trait of its model."""
        self.page.evaluate("([name, value]) => put(name, value)", [name, value])

    def saved(self, kind: str) -> bytes:
        with self.page.expect_download() as download:
            self.button(f"Save {kind}").click()
        return Path(download.value.path()).read_bytes()

    def drawing(self) -> str:
        return self.saved("SVG").decode()

    def table(self) -> list[dict]:
        return list(csv.DictReader(io.StringIO(self.saved("CSV").decode("utf-8-sig"))))

    def column(self, name: str) -> np.ndarray:
        return np.float64([row[name] for row in self.table()])

    def answer(self, request: int, evidence, **changes) -> None:
        """Play the kernel: the video of twelve frames without those that a request names."""
        changes = {"kind": "evidence", "runs": [evidence.to_json()], **changes}
        self.page.evaluate(f"message => tell('msg:custom', {{...sent[{request}], ...message}})", changes)


@pytest.fixture
def opened(browser):
    """Open a scene in a page without a network; errors in the page fail the test."""
    contexts, errors = [], []

    def open_scene(*runs, live=None, width=1200, theme="light", media=None) -> View:
        videos = {runs[0].video: runs, "broken": DataError("weights holds nan")}
        content = scene(videos, SOURCE, live=bool(live), media={runs[0].video: media})
        size = {"width": width, "height": 900}
        contexts.append(browser.chromium.new_context(viewport=size, color_scheme=theme, offline=True))
        page = contexts[-1].new_page()
        page.set_default_timeout(30_000)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda request: browser.check(request.url))
        page.set_content("<!doctype html><body></body>")
        page.evaluate(START, [MODULE, STYLE, content, live])
        page.locator(".dmlkit-av .here:not(:empty)").first.wait_for()
        return View(page)

    yield open_scene
    for context in contexts:
        context.close()
    assert errors == [] and browser.outside == []


def test_the_arithmetic_is_pythons(browser, sample_evidence):
    rng, page = np.random.default_rng(0), browser.chromium.new_page()
    states = [{"masked": []}, {"masked": list(range(30))}, {"masked": [], "uniform": True, "top": 5}]
    for top in [*range(1, 30), None]:
        masked = sorted(rng.choice(30, rng.integers(0, 30), replace=False).tolist())
        settings = {"temperature": float(rng.uniform(0.2, 5)), "uniform": bool(rng.integers(4) == 0)}
        states.append({"masked": masked, "top": top, **settings})
    kinds = [sample_evidence(frames=30, kind=kind) for kind in ("attention", "heads", "by_class", "mean")]
    for evidence in (*kinds, sample_evidence(frames=30, seed=4, logits=None)):
        found = page.evaluate(WEIGH, [MODULE, evidence.to_json(), states])
        for state, (known, weights, scores, entropy) in zip(states, found, strict=True):
            expected = reweight(evidence, **state)
            assert known == (expected is not None)
            if known:
                averaged = expected.mean(axis=(1, 2))
                np.testing.assert_allclose(weights, averaged, atol=1e-6)
                np.testing.assert_allclose(scores, class_scores(evidence, expected), atol=1e-6)
                positive = averaged[averaged > 0]
                assert entropy == pytest.approx(-(positive * np.log(positive)).sum(), abs=1e-6)
    nonlinear = sample_evidence(linear=False).to_json()
    found = page.evaluate(WEIGH, [MODULE, nonlinear, states[:2]])
    assert found[0][2] is not None and found[1][2] is None
    page.close()


def test_a_walk_through_a_saved_page(opened, sample_evidence):
    """Keys, mouse, sliders, sums, downloads: the essential walk."""
    evidence = sample_evidence(frames=20, names=(EVIL, "=cmd()", "plain"))
    view = opened(evidence)
    view.expect("most", "Nothing is changed")
    cells = view.root.locator(".sums tbody tr").first.locator("td").all_inner_texts()
    total, bias, logit = (float(cell.replace("−", "-")) for cell in cells)
    assert total + bias == pytest.approx(logit, abs=0.011)
    expected = evidence.mean_weights @ evidence.contributions[:, 0, 0] + evidence.biases[0]
    assert logit == pytest.approx(expected, abs=0.006)
    view.press("Home", "Shift+ArrowRight", "Shift+ArrowRight", "Space", "Escape")
    view.root.locator("input[value=mask]").check()
    view.drag(0.975, 0.88)
    view.root.get_by_role("slider", name="Keep the top frames").fill("9")
    view.root.get_by_role("slider", name="Temperature").fill("0.3")
    masked, rows = [0, 1, 2, 17, 18, 19], view.table()
    expected = reweight(evidence, masked=masked, top=9, temperature=1.995)
    assert [t for t, row in enumerate(rows) if row["state"] == "masked"] == masked
    np.testing.assert_allclose(view.column("weight"), expected[:, 0, 0], atol=1e-6)
    np.testing.assert_allclose(view.column("model weight"), evidence.mean_weights, atol=1e-6)
    assert {row["changed"] for row in rows} == {"temperature 2.00; top 9 kept; 6 frames masked"}
    assert "'=cmd() share" in rows[0]  # no formula for a spreadsheet
    for before, after in zip(evidence.scores, class_scores(evidence, expected), strict=True):
        changed = f" → {after:.3f}" if abs(before - after) > 6e-4 else ""
        view.expect("scores", f"{before:.3f}{changed}")
    png, drawing = view.saved("PNG"), xml.dom.minidom.parseString(view.saved("SVG"))
    assert png.startswith(b"\x89PNG") and int.from_bytes(png[16:20], "big") == 1920
    texts = [each.firstChild.data for each in drawing.getElementsByTagName("text")]
    assert "Changed: temperature 2.00" in "".join(texts)
    assert view.root.get_by_role("radio", name="remove").is_disabled()
    view.button("Reset").click()
    view.expect("most", "Nothing is changed")
    assert view.page.evaluate("window.hit") is None
    assert not view.root.locator("img, script, .scores b").count()


def test_a_silent_kernel_is_heard_again(opened, sample_evidence):
    """What it owes fails when its patience ends; any word of it makes the view ask again."""
    whole = sample_evidence()
    view = opened(whole, live=MENU)
    view.page.evaluate("hooks.patience = 400; leave(); document.body.replaceChildren(); another(); null")
    view.press("Home", "r")
    view.expect("status", "The kernel has not answered for 0.4 seconds")
    view.put("problem", "")
    view.page.wait_for_function("sent.length === 2")
    view.answer(1, replace(whole, scores=whole.scores / 2))
    view.expect("scores", f"→ {whole.scores[0] / 2:.3f}")
    view.page.wait_for_timeout(600)
    expect(view.root.locator(".status")).to_be_empty()


def test_requests_to_the_kernel_and_its_menus(opened, sample_evidence):
    whole = sample_evidence()
    kept = {name: getattr(whole, name)[4:] for name in ("times", "logits", "contributions")}
    unknown = {"ground_truth": {}, "energy": {}, "change": {}}
    part = sample_evidence(frames=8, scores=[0.9, 0.8, 0.7], **kept, **unknown)
    view = opened(whole, live=MENU)
    view.root.get_by_role("radio", name="remove").check()
    view.press("Home", "Space", *["ArrowRight", "Space"] * 3)
    assert view.page.evaluate("sent.map(each => each.removed)") == [[0]]  # one at a time, the newest waits
    view.expect("scores", "score (stale)")
    view.answer(0, part)
    view.page.wait_for_function("sent.length === 2")
    assert view.page.evaluate("sent[1].removed") == [0, 1, 2, 3]
    view.answer(1, part, view="another")
    view.expect("scores", "stale")
    view.answer(1, part)
    view.expect("scores", "→ 0.900")
    view.page.wait_for_function("state.removed.length === 4 && saved > 0")
    view.expect("hint", "first 2 of 250 videos")
    view.root.get_by_label("Order", exact=True).select_option("class")
    view.root.get_by_label("Id of a video").fill("x")
    view.root.get_by_label("Id of a video").press("Enter")
    view.root.get_by_label("Video", exact=True).select_option("w")
    menu, *opened_videos = view.page.evaluate("sent.slice(2)")
    assert menu == {"kind": "menu", "order": "class", "label": None}
    assert opened_videos == [{"kind": "open", "video": "x"}, {"kind": "open", "video": "w"}]
    view.page.evaluate("put('masked', [2, 3]); put('problem', 'A callback failed <i>')")
    view.expect("most", "2 frames masked; 4 frames removed")
    view.expect("problem", "A callback failed <i>")
    view.page.evaluate("tell('comm_live_update')")
    view.expect("status", "Disconnected")
    view.page.evaluate("leave()")
    assert view.page.evaluate("listening()") == 0


PIXELS = """(strip, points) => points.map(([x, y]) => {
    const { data } = strip.getContext("2d").getImageData(Math.round(x), Math.round(y), 1, 1);
    return [data[0], data[1], data[2]];
})"""


def saved_page(folder: Path, *contents: dict) -> str:
    """The address of a report's page with views of scenes."""
    folder.mkdir(exist_ok=True)
    outputs = [[new_output("display_data", {MIME: content})] for content in contents]
    cells = [new_code_cell("explore()", outputs=each) for each in outputs]
    nbformat.write(new_notebook(cells=cells), folder / "n.ipynb")
    about = {"pages": {}, "data": "d", "generated": True, "profile": "smoke", "seconds": 1.0}
    about |= {"executed": "2026-03-08T14:05:00+00:00", "folder": folder, "title": "N"}
    (folder / "n.html").write_text(render_notebook(folder / "n.ipynb", **about))
    return (folder / "n.html").as_uri()


def test_a_saved_page_shows_and_plays_the_video_itself(browser, sample_evidence, leave_media, tmp_path):
    """From a file, without a network: pictures at their frames, a sound in step, and nothing asked for by itself."""
    leave_media(tmp_path / "data", "v", frames=12)
    sprite = ThumbnailSettings(path="thumbnails/{id}.webp", width=64, height=36, columns=5)
    declared = {
        "thumbnails": sprite,
        "media": ["videos/{id}.*"],
        "link": "https://www.a.example/{id}#{second}",
    }
    data = SimpleNamespace(path=str(tmp_path / "data"), fps=1, extractor=None, **declared)
    media = media_of(data, "v", frames=12, start=30.0)
    content = scene({"v": [sample_evidence(video="v")]}, SOURCE, media={"v": media})
    address = saved_page(tmp_path / "report", content)
    with browser.page(width=1000, picture=tmp_path / "end.png") as page:
        asked = []
        page.on("request", lambda request: asked.append(request.url))
        page.context.set_offline(True)
        page.goto(address)
        view, strip = View(page), page.locator(".film")
        expect(strip).to_be_visible()
        view.press("End")
        expect(strip).to_have_attribute("aria-label", re.compile("12 pictures .* at 0:11$"))
        box = strip.bounding_box()
        slot, shown = (box["width"] - 104) / 12, range(0, 10, 2)
        points = [[98 + (frame + 0.5) * slot, box["height"] - 5] for frame in shown]
        points.append([box["width"] - 20, box["height"] - 55])
        expected = [(20 * frame, 255 - 10 * frame, 120) for frame in (*shown, 11)]
        np.testing.assert_allclose(strip.evaluate(PIXELS, points), expected, atol=6)
        link = page.get_by_role("link", name="Open at 0:41 on a.example")
        assert link.get_attribute("href") == "https://www.a.example/v#41"
        assert link.get_attribute("rel") == "noopener noreferrer"
        assert [each for each in asked if not each.startswith("data:")] == asked[:1]

        page.get_by_role("button", name="Load the audio file").click()
        sound = page.locator("audio")
        for key, second in (("Home", 0), ("End", 11), ("ArrowLeft", 10)):
            expect(sound).to_have_js_property("readyState", 4)
            view.press(key)
            expect(sound).to_have_js_property("currentTime", second)
        assert asked[-1] == (tmp_path / "data" / "videos" / "v.wav").resolve().as_uri()
        sound.evaluate("sound => { sound.currentTime = 5.3; }")
        expect(view.slider).to_have_attribute("aria-valuenow", "6")
        expect(sound).to_have_js_property("currentTime", 5.3)
        sound.evaluate("sound => sound.play()")
        expect(view.slider).to_have_attribute("aria-valuenow", "8")
        view.press("Home")  # what plays goes on from there
        expect(view.slider).to_have_attribute("aria-valuenow", "2")
        assert sound.evaluate("sound => sound.currentTime") < 3
    assert browser.outside == []


def test_media_that_cannot_be_shown_leave_the_rest(opened, sample_evidence, leave_media, tmp_path):
    leave_media(tmp_path, "v", frames=5)
    sound = base64.b64encode((tmp_path / "videos" / "v.wav").read_bytes()).decode()
    about = {"columns": 5, "width": 64, "height": 36, "count": 12, "every": 1}
    media = {"offset": 0, "problems": [f"There is no {EVIL}."], "link": "javascript:alert(1)"}
    media |= {"thumbnails": {"src": "data:image/webp;base64,UklGRg==", **about}}
    wav, short = "data:audio/wav;base64,", "The file lasts 5 s, but the last frame is at 11 s."
    for live, src, problem in [
        (None, wav + sound, short),
        (MENU, wav + sound, short),
        (None, wav + "UklGRg==", "The audio file is missing, or this browser cannot play it."),
        (MENU, "/files/gone.wav", "The audio file cannot be loaded"),
    ]:
        view = opened(sample_evidence(), live=live, media=media | {"player": {"kind": "audio", "src": src}})
        view.expect("lacking", f"There is no {EVIL}.")
        view.expect("lacking", "The thumbnails cannot be decoded.")
        assert not view.root.locator(".film").is_visible() and not view.root.get_by_role("link").count()
        view.button("Load the audio file").click()
        view.expect("lacking", problem)
        view.press("End", "Home")
        view.expect("here", "Frame 1 of 12")
        played = [each.get_attribute("src")[:5] for each in view.root.locator("audio").all()]
        assert played == (["blob:" if live else "data:"] if problem == short else [])
    view = opened(sample_evidence())
    assert not view.root.locator(".media").is_visible()


def test_zoom_pan_and_overview(opened, sample_evidence):
    view = opened(sample_evidence(frames=3600), live=MENU)
    page = view.page
    page.evaluate("document.body.style.height = '4000px'")
    # Keys: about the cursor; the window follows a cursor that keys move.
    windows = (None, [0, 1799], [1440, 3239], [1, 1800])
    for key, window in zip(("Home", "+", "Shift+PageUp", "ArrowRight"), windows, strict=True):
        view.press(key)
        view.receives("window", window)
    view.receives("frame", 1)
    view.press("0")
    view.receives("window", None)
    # The wheel scrolls the page, but with Ctrl, sideways, and over the overview until its end.
    view.wheel(".strips", 0, 40)
    page.wait_for_function("scrollY === 40")
    view.wheel(".strips", 0, -100, ctrl=True)
    view.receives("window", [389, 3055], within=30)
    first, last = page.evaluate("state.window")
    view.wheel(".strips", 100, 0)
    moved = round(100 / (view.slider.bounding_box()["width"] - 104) * (last - first + 1))
    view.receives("window", [first + moved, last + moved], within=2)
    view.wheel(".minimap", 0, 200)
    view.receives("window", None)
    assert page.evaluate("scrollY") == 40
    # Over the overview: a new window, moved, one end moved, centred by a click.
    drags = ((0.25, 0.5, 900, 1800), (0.4, 0.6, 1620, 2520), (0.7, 0.8, 1620, 2880), (0.2, 0.2, 90, 1350))
    for start, end, *window in drags:
        view.drag(start, end, part=".minimap", y=15)
        view.receives("window", window, within=12)
    # Two fingers: twice as far apart, half the window.
    view.press("0")
    box, session = view.slider.bounding_box(), page.context.new_cdp_session(page)
    for kind, apart in [("touchStart", 100), ("touchMove", 150), ("touchMove", 200), ("touchEnd", None)]:
        middle, y = box["x"] + box["width"] / 2 + 46, box["y"] + 50
        sides = (-1, 1) if apart else ()
        points = [{"x": middle + side * apart / 2, "y": y, "id": side + 1} for side in sides]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    view.receives("window", [900, 2699], within=30)
    assert page.evaluate("[state.masked.length, state.frame]") == [0, 1]
    # A drag that rests beyond the window brings the frames there; the window follows a cursor that Python moves.
    page.mouse.move(middle, y)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"], y)
    page.wait_for_function("state.window[0] > 1000 && state.frame === state.window[1]")
    page.mouse.up()
    stopped = page.evaluate("state.window")
    page.wait_for_timeout(200)
    assert page.evaluate("state.window") == stopped
    page.evaluate("put('frame', 40)")
    view.receives("window", [40, 40 + stopped[1] - stopped[0]])
    view.press("0")
    for _ in range(2):
        view.wheel(".minimap", 0, 20)
    page.wait_for_function("scrollY > 40")


def test_ranges_tools_and_playing(opened, sample_evidence):
    whole = sample_evidence(frames=20)
    view = opened(whole, live=MENU)
    view.press("Home", *["Shift+ArrowRight"] * 4, "Shift+ArrowLeft")
    view.receives("range", [0, 3])
    view.expect("selected", "Frames 1 to 4")
    view.button("mask the range").click()
    view.receives("masked", [0, 1, 2, 3])
    for key, masked in (("Space", []), ("m", [0, 1, 2, 3]), ("c", [])):
        view.press(key)
        view.receives("masked", masked)
    view.press("ArrowRight", "Escape", "Space")
    view.receives("range", None)
    view.receives("masked", [4])
    view.press("Shift+End", "r", "c")
    view.receives("range", [4, 19])
    view.receives("removed", [])
    view.root.get_by_role("radio", name="mute").check()
    view.root.get_by_label("Modality to mute").select_option("audio")
    view.drag(0.126, 0.226)
    view.receives("muted", {"audio": [2, 3, 4]})
    view.root.get_by_role("radio", name="range").check()
    view.drag(0.52, 0.62)
    view.receives("range", [10, 12])
    view.press("u")
    view.receives("muted", {"audio": [2, 3, 4, 10, 11, 12]})
    asked = view.page.evaluate("sent.filter(each => each.kind === 'evidence')")
    assert [(each["removed"], each["muted"]) for each in asked] == [(list(range(4, 20)), {})]
    view.answer(0, whole)
    view.page.wait_for_function("sent.length === 2")
    assert view.page.evaluate("sent[1].muted") == {"audio": [2, 3, 4, 10, 11, 12]}
    scores = whole.scores / 2
    view.answer(1, replace(whole, scores=scores, contributions=None, parts=()))
    view.expect("scores", f"→ {scores[0]:.3f}")
    view.expect("most", "audio of 6 frames muted")
    # Time passes as the test says: three seconds are three frames, at double speed six; a range begins again.
    view.press("Escape", "Home")
    view.page.clock.install()
    view.page.clock.pause_at(view.page.evaluate("Date.now()") + 1000)
    shown = lambda: int(view.slider.get_attribute("aria-valuenow"))  # noqa: E731
    view.page.clock.run_for(100)
    view.press("p")
    view.page.clock.run_for(3100)
    assert shown() == 4
    view.root.get_by_label("Speed").select_option("2")
    view.page.clock.run_for(3100)
    assert shown() == 10
    view.press("k", "Shift+ArrowRight", "l")
    visited = set()
    for _ in range(8):
        view.page.clock.run_for(400)
        visited.add(shown())
    assert visited == {10, 11} and view.button("Pause").count() == 1
    view.page.evaluate("Object.defineProperty(document, 'hidden', {value: true})")
    view.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    assert view.button("▶ Play").count() == 1
    view.press("n")
    assert view.page.evaluate("sent.at(-1)") == {"kind": "open", "video": "w"}


@pytest.mark.parametrize("kind", ["heads", "by_class", "by_feature", "clusters", "none"])
def test_rows_of_every_kind_and_the_map_that_chooses_classes(opened, sample_evidence, kind):
    evidence = sample_evidence(frames=40, classes=6, kind=kind)
    view = opened(evidence)
    wanted = {"heads": "head 3", "clusters": "Assignment to clusters", "none": "Attention rollout"}
    assert wanted.get(kind, "class 0: ") in view.drawing()
    assert ("gap +0.00" in view.drawing()) == (evidence.contributions is None)
    view.root.get_by_role("textbox", name="Search the classes").fill("CLASS 4")
    assert view.root.locator(".scores tbody tr:visible").count() == 1
    view.button("+ class 4").click()
    assert "class 4: " in view.drawing()
    if evidence.contributions is None:
        assert view.root.get_by_role("slider", name="Temperature").is_disabled()
        view.root.get_by_label("By modality").check()
        assert "class 4: audio, gradient × input (approximation)" in view.drawing()
        np.testing.assert_allclose(
            view.column("class 4 share"), evidence.terms[..., 4].sum(axis=1), atol=1e-6
        )


UNDO, REDO = "Control+z", "Shift+Control+z"


def matrix_of(video: str, values: np.ndarray) -> dict:
    """A scene's similarity; `values` are (cells, cells) cosines."""
    packed = np.round((values + 1) * 127.5).astype(np.uint8).tobytes()
    about = {"of": "states", "video": video, "cells": len(values), "frames": len(values), "step": 1}
    return {**about, "values": {"u8": base64.b64encode(packed).decode()}}


def test_changes_are_undone_and_done_again(opened, sample_evidence):
    """Back over every kind of change and forth again; a scrub of five frames is one step."""
    view = opened(sample_evidence(), live=MENU)
    view.put("frame", 0)
    steps = [
        lambda: view.press(*["ArrowRight"] * 5),
        lambda: view.press("m"),
        lambda: view.root.get_by_label("Uniform weights").check(),
        lambda: view.press("ArrowLeft"),
        lambda: view.press("r"),
        lambda: view.button("Reset").click(),
    ]
    now = "() => JSON.stringify(['frame', 'masked', 'removed', 'uniform'].map(name => state[name]))"
    seen = [view.page.evaluate(now)]
    for step in steps:
        step()
        view.page.wait_for_timeout(150)  # until the kernel heard of it
        seen.append(view.page.evaluate(now))
    assert seen[1:3] == ["[5,[],[],false]", "[5,[5],[],false]"] and seen[5] == "[4,[5],[4],true]"
    for key, name, states in ((UNDO, "Undo", seen[-2::-1]), (REDO, "Redo", seen[1:])):
        for expected in states:
            view.press(key)
            view.page.wait_for_function(f"expected => ({now})() === expected", arg=expected)
        assert view.button(name).is_disabled()


def test_a_link_opens_the_state_of_one_view_of_a_page(browser, sample_evidence, tmp_path):
    """Copied from a file's second view, read by a new tab and by a changed address; wrong ones are ignored."""
    names = ("v", "w & <i>“é”")
    content = scene({name: [sample_evidence(video=name, seed=at)] for at, name in enumerate(names)}, SOURCE)
    address = saved_page(tmp_path, content, content)
    with browser.page(width=1200, picture=tmp_path / "end.png") as page:
        page.add_init_script("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
        page.goto(address)
        views = [page.locator(".dmlkit-av").nth(at) for at in range(2)]
        expect(views[1].locator(".here")).to_contain_text("Frame")
        views[1].get_by_role("button", name="Next video").click()
        assert views[1].get_by_role("button", name="Next video").is_disabled()
        slider = views[1].get_by_role("slider", name="Frame of the video")
        slider.focus()
        for key in ("Home", "ArrowRight", "m", "ArrowRight", "Shift+ArrowRight"):
            page.keyboard.press(key)
        views[1].get_by_role("slider", name="Keep the top frames").fill("9")
        views[1].get_by_role("button", name="Copy link").click()
        field = views[1].get_by_label("Link to this state")
        expect(field).to_be_focused()
        link = field.input_value()
        assert link.startswith(f"{address}#")
        expected = {"video": names[1], "frame": 3, "masked": [1], "range": [2, 3], "top": 9}
        with browser.page(width=1200, picture=tmp_path / "other.png") as other:
            other.goto(link)
            second = other.locator(".dmlkit-av").nth(1)
            expect(second.locator(".here")).to_contain_text("Frame 4 of 12")
            expect(second.locator(".most")).to_contain_text("top 9 kept; 1 frame masked")
            assert second.get_by_label("Video", exact=True).input_value() == names[1]
            assert other.locator(".dmlkit-av").first.get_by_label("Video", exact=True).input_value() == "v"
            state = json.loads(unquote(link.split("=", 1)[1]))
            assert {name: state[name] for name in expected} == expected
            wrong = {"frame": 12, "masked": [0.5], "range": [3, 2], "temperature": 0, "classes": [9]}
            wrong |= {"tab": "similarity", "removed": [1], "muted": None, "more": 1, "toString": 1}
            for video, lost in ((names[1], list(wrong)), ("x", ["all"])):
                fragment = quote(json.dumps(state | wrong | {"video": video, "top": 5}))
                other.evaluate("fragment => { location.hash = fragment; }", f"dmlkit-view-2={fragment}")
                expect(second.locator(".status")).to_contain_text("does not fit this page")
                text = second.locator(".status").inner_text().rstrip(".").split(": ")[1]
                assert sorted(text.split(", ")) == sorted(lost)
                expect(second.locator(".here")).to_contain_text("Frame 4 of 12")
                expect(second.locator(".most")).to_contain_text("top 5 kept; 1 frame masked")
            fragment = quote(json.dumps(state | {"frame": 7, "video": "v"}))
            other.evaluate("fragment => { location.hash = fragment; }", f"dmlkit-view-2={fragment}")
            expect(second.locator(".here")).to_contain_text("Frame 8 of 12")
            expect(second.locator(".status")).to_be_empty()
            second.get_by_role("button", name="Undo").click()
            expect(second.locator(".here")).to_contain_text("Frame 4 of 12")
    assert browser.outside == []


def test_the_similarity_of_frames_and_moments(opened, sample_evidence):
    """The matrix that the kernel sends, by mouse and keys; similar moments open another video at a frame."""
    frames = np.arange(12)
    cosines = np.cos(np.subtract.outer(frames, frames) * np.pi / 6)  # frames 6 apart are opposite
    cosines[2, 9] = cosines[9, 2] = 0.9
    evidence = sample_evidence()
    view = opened(evidence, live=MENU)
    view.root.get_by_role("tab", name="Frames").press("ArrowRight")
    view.page.wait_for_function("state.tab === 'similarity'")
    assert view.page.evaluate("sent") == [{"kind": "similarity", "of": "states"}]
    similarity = matrix_of(evidence.video, cosines)
    content = scene({evidence.video: [evidence]}, SOURCE, live=True, similarity=similarity)
    view.put("scene", content)
    matrix = view.root.get_by_role("slider", name="Compared frame")
    matrix.focus()
    for key in ("Home", "ArrowRight", "ArrowRight"):
        view.page.keyboard.press(key)
    view.expect("pair", "Frame 3, at 2 s: most similar beyond its neighbours is frame 10 (9 s), 0.90.")
    box = matrix.bounding_box()
    size = box["width"] - 106
    view.page.mouse.click(box["x"] + 40 + 6.5 / 12 * size, box["y"] + 0.5 / 12 * size)
    expect(matrix).to_have_attribute("aria-valuenow", "7")
    view.expect("pair", "frame 7 (6 s) and frame 1 (0 s): -1.00")
    points = [[40 + (x + 0.25) / 12 * size, (y + 0.25) / 12 * size] for x, y in ((0, 0), (0, 3), (0, 6))]
    up, zero, down = matrix.locator("canvas").evaluate(PIXELS, points)
    assert up[2] > up[0] + 50 and down[0] > down[2] + 50 and zero[0] == pytest.approx(zero[2], abs=4)
    drawn = matrix.locator("canvas").evaluate("canvas => canvas.toDataURL()")
    assert view.saved("PNG") == base64.b64decode(drawn.split(",")[1])
    view.root.get_by_label("Compare the frames by").select_option("audio")
    assert view.page.evaluate("sent[1]") == {"kind": "similarity", "of": "audio"}
    view.root.get_by_role("tab", name="Frames").click()
    view.button("Similar moments").click()
    request = view.page.evaluate("sent[2]")
    assert request["frames"] == [6] and request["kind"] == "similar" and request["limit"] == 20
    found = {"video": "w", "frame": 4, "seconds": 4.5, "similarity": 0.87654}
    view.answer(2, evidence, kind="similar", rows=[found], note="Cosine of <i>")
    assert view.root.locator(".similar tbody tr").inner_text().split() == ["w", "4.5", "s", "0.877"]
    view.root.locator(".similar tbody button").click()
    assert view.page.evaluate("sent[3]") == {"kind": "open", "video": "w"}
    other = scene({"w": [sample_evidence(video="w", seed=1)]}, SOURCE, live=True)
    view.put("scene", other)
    view.expect("here", "Frame 5 of 12")
    view.button("Undo").click()
    assert view.page.evaluate("sent[4]") == {"kind": "open", "video": "video0000"}
    view.put("scene", content)
    view.expect("here", "Frame 7 of 12")


def test_files_and_table_hold_what_is_drawn(opened, sample_evidence):
    """Heads, classes' own weights, modalities, gaps and rollout; the zoomed figure; four digits on a phone."""
    heads = sample_evidence(kind="heads")
    view = opened(heads)
    for at, name in enumerate(heads.groups):
        np.testing.assert_allclose(view.column(f"weight {name}"), heads.weights[:, at, 0], atol=1e-6)
    shares = (heads.weights * heads.contributions).sum(axis=1)[:, 0]
    np.testing.assert_allclose(view.column("class 0 share"), shares, atol=1e-6)
    own = sample_evidence(kind="by_class")
    found = opened(own).column("weight of class 1")
    np.testing.assert_allclose(found, own.weights[:, 0, 1], atol=1e-6)
    none = sample_evidence(kind="none")
    view = opened(none, width=400)
    view.root.get_by_text("Effect of the frames").click()
    view.root.get_by_label("By modality").check()
    np.testing.assert_allclose(view.column("attention rollout"), none.rollout, atol=1e-6)
    for at, modality in enumerate(none.term_modalities):
        found = view.column(f"class 2 share {modality}")
        np.testing.assert_allclose(found, none.terms[:, at, 2], atol=1e-6)
    rows = view.table()
    names = ("weight", "state", "class 1 gap", "shares are")
    assert {tuple(row[name] for name in names) for row in rows} == {("", "kept", "0", none.terms_title)}
    view.button("Data table").click()
    frame, *cells = view.root.locator(".data tbody tr").nth(3).locator("th, td").all_inner_texts()
    digits = [cell.replace(".", "").lstrip("0-") for cell in cells if "." in cell]
    assert frame == "4" and max(map(len, digits)) == 4
    view.root.locator(".data").evaluate("data => { data.scrollLeft = 500; }")
    edge = view.root.locator(".data").bounding_box()["x"]
    assert view.root.locator(".data tbody th").first.bounding_box()["x"] == pytest.approx(edge, abs=2)
    view.press("Home", *["+"] * 3)
    drawing = view.drawing()
    assert "Frames 1 to 5 of 12." in drawing and ">11</text>" not in drawing


def test_strips_share_a_scale_and_a_click_on_the_map_draws_a_class(opened, sample_evidence):
    contributions = np.random.default_rng(3).normal(size=(30, 1, 6)) * [1, 8, 1, 1, 1, 2]
    evidence = sample_evidence(frames=30, classes=6, contributions=contributions)
    view = opened(evidence)

    def numbers() -> dict[str, list[str]]:
        """Title of each row → the numbers of its y-axis, or of the map's colours."""
        found, rows = xml.dom.minidom.parseString(view.saved("SVG")).getElementsByTagName("text"), {}
        for each in found:
            text = each.firstChild.data if each.firstChild else ""
            if each.getAttribute("font-size") == "12" and each.getAttribute("x") == "6":
                rows[text] = []
            elif each.getAttribute("font-size") == "10" and rows:
                rows[list(rows)[-1]].append(text)
        return rows

    found = numbers()
    scale, other = (found[f"class {label}: contribution to the logit"] for label in (0, 1))
    assert scale == other and len(scale) > 2
    terms = evidence.weights * contributions[:, 0][:, None]
    highest, lowest = terms[..., :2].max(), terms[..., :2].min()
    drawn = [float(text.replace("−", "-")) for text in scale]
    step = drawn[1] - drawn[0]
    assert highest - step < max(drawn) <= highest and lowest <= min(drawn) < lowest + step
    peak = np.abs(terms).max()
    low, high = found["All classes: contribution to the logit"][-2:]
    assert low == f"−{peak:.2g}" and high.startswith(f"+{peak:.2g} ")
    view.root.get_by_label("Common scale").uncheck()
    scale, other = (numbers()[f"class {label}: contribution to the logit"] for label in (0, 1))
    assert scale != other

    box = view.root.locator(".scores tbody tr", has_text="class 4").get_by_role("checkbox")
    for across in (40, 400):  # its name, and a frame
        for drawn in (True, False):
            top = view.page.evaluate(
                "(row => row.top + 4.5 * row.cell)(view.lay.rows.find(row => row.labels))"
            )
            view.slider.click(position={"x": across, "y": top})
            expect(box).to_be_checked(checked=drawn)
            assert drawn == ("class 4: contribution to the logit" in numbers())


SCRUB = """async root => {
    const slider = root.querySelector(".strips"), seen = new Set(), drawn = () => new Promise(requestAnimationFrame);
    const here = root.querySelector(".here"), bottom = node => node.getBoundingClientRect().bottom;
    let fits = true;
    const press = key => slider.dispatchEvent(new KeyboardEvent("keydown", {key}));
    for (press("Home"); ; press("ArrowRight")) {
        await drawn(); await drawn();
        fits &&= bottom(here) <= bottom(here.parentElement) + 0.5;
        seen.add([...document.querySelectorAll("*")].map(each => each.getBoundingClientRect().top).join());
        if (slider.ariaValueNow === slider.ariaValueMax) return [fits, seen.size, Number(slider.ariaValueNow)];
    }
}"""


@pytest.mark.parametrize("width", [1200, 400])
def test_nothing_moves_with_the_cursor(opened, sample_evidence, width):
    frames = np.arange(40)
    truth = {0: frames % 3 == 0, 1: frames % 20 == 0, 2: frames % 4 == 0}
    names = (EVIL, "cat", "a name of some more words")
    data = {"names": names, "times": 9.37 * frames, "ground_truth": truth}
    runs = [sample_evidence(frames=40, run=name, kind=name, **data) for name in ("attention", "heads")]
    view = opened(*runs, width=width)
    view.press("m")
    assert view.root.evaluate(SCRUB) == [True, 1, 40]
    if width == 1200:
        assert view.slider.bounding_box()["y"] < 330  # the controls leave room for the figure


def test_terms_groups_and_choices_of_classes(opened, sample_evidence):
    """With a kernel, which computes or fails, and without one."""
    source = SimpleNamespace(**vars(SOURCE) | {"class_groups": {"Animals": [1, 2, 5], "Else": [0]}})
    evidence = sample_evidence(classes=6, kind="none")
    view = opened(evidence, live=MENU)
    view.root.get_by_label("Effect of the frames").select_option("occlusion")
    view.expect("status", "Computing")
    view.receives("explanation", "occlusion")
    occluded = replace(evidence, terms_title="occlusion")
    content = scene({evidence.video: [occluded]}, source, live=True)
    view.put("scene", content)
    expect(view.root.locator(".status")).to_be_empty()
    assert "occlusion" in view.drawing()
    view.root.get_by_label("By modality").check()
    view.receives("by_modality", True)
    view.expect("status", "Computing")
    view.put("problem", "No memory is left.")
    expect(view.root.locator(".status")).to_be_empty()
    view.expect("problem", "No memory is left.")
    view.root.get_by_label("Group of classes").select_option("Animals")
    rows = view.root.locator(".scores tbody tr:visible .name").all_inner_texts()
    assert sorted(rows) == ["class 1", "class 2", "class 5"]
    view.button("True").click()
    view.button("Highest").click()
    assert view.page.evaluate("sent.map(each => each.kind + each.choice)") == ["classestrue", "classestop"]
    assert view.button("Most changed").is_disabled()

    evidence = sample_evidence(classes=6)
    view = opened(evidence)
    masked = class_scores(evidence, reweight(evidence, masked=[0, 1, 2]))
    view.press("Home", "Shift+ArrowRight", "Shift+ArrowRight", "m")
    changed = np.abs(masked - evidence.scores)
    first = lambda values: np.argsort(-values)[:3]  # noqa: E731
    for name, labels in [("True", [0, 1]), ("Highest", first(masked)), ("Most changed", first(changed))]:
        view.button(name).click()
        view.page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        drawn = view.root.locator(".scores tr:has(:checked) .name").all_inner_texts()
        assert sorted(drawn) == sorted(f"class {label}" for label in labels)


def test_weights_under_masks_by_the_model(opened, sample_evidence):
    """Its scores are the kernel's; weights at another temperature follow from the arrays, also before it answers."""
    whole = sample_evidence(linear=False)
    view = opened(whole, live=MENU)
    view.press("Home", "m")
    view.page.wait_for_function("sent.length === 1")
    assert view.page.evaluate("sent[0].masked") == [0]
    kept = reweight(whole, masked=[0])
    view.answer(0, replace(whole, weights=kept, logits=None, reweightable=False, scores=whole.scores / 2))
    view.expect("scores", f"→ {whole.scores[0] / 2:.3f}")
    view.root.get_by_role("slider", name="Temperature").fill("0.3")
    expected = reweight(whole, masked=[0], temperature=1.995)[:, 0, 0]
    np.testing.assert_allclose(view.column("weight"), expected, atol=1e-6)
    view.expect("scores", "→ ?")
    for key, masked in (("m", [0, 1]), ("c", [0])):
        view.press(*(["ArrowRight"] if key == "m" else []), key)
        expected = reweight(whole, masked=masked, temperature=1.995)[:, 0, 0]
        np.testing.assert_allclose(view.column("weight"), expected, atol=1e-6)


@pytest.mark.nightly
@pytest.mark.parametrize(("theme", "width"), [("light", 1200), ("dark", 400)])
def test_it_is_accessible(opened, sample_evidence, theme, width):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    runs = [sample_evidence(frames=60, classes=6, seed=seed, run=f"run {seed}") for seed in range(2)]
    view = opened(*runs, width=width, theme=theme)
    view.press("Home", "Space", "ArrowRight")
    assert view.slider.evaluate("element => getComputedStyle(element).outlineStyle") == "solid"
    assert re.search("weight .*top class", view.slider.get_attribute("aria-valuetext"))
    assert view.page.evaluate("document.documentElement.scrollWidth") <= width
    found = axe.Axe().run(view.page, context=".dmlkit-av").response["violations"]
    assert [(each["id"], [node["html"][:120] for node in each["nodes"]]) for each in found] == []
