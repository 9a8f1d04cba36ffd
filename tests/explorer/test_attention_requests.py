"""What passes between the view and a kernel, with a kernel that the test plays itself."""

import json

import pytest

from dmlkit.explorer.evidence import scene
from dmlkit.explorer.saved_view import MODULE, STYLE

# A model as anywidget gives it to `render`; what the view sends is kept, and answered when the test says so.
START = """async ([module, style, scene]) => {
    const code = await import(URL.createObjectURL(new Blob([module], {type: 'text/javascript'})));
    document.head.append(Object.assign(document.createElement('style'), {textContent: style}));
    const state = {scene, frame: 0, masked: [], removed: [], temperature: 1, top: null, uniform: false,
        classes: [0], shown: ['Attention'], problem: ''}, listeners = {};
    window.sent = []; window.saved = 0;
    window.tell = (name, ...what) => (listeners[name] ?? []).forEach(each => each(...what));
    window.put = (name, value) => { state[name] = value; window.tell('change:' + name); };
    window.state = state;
    const model = {
        get: name => state[name], set: (name, value) => { state[name] = value; },
        save_changes: () => { window.saved++; },
        send: message => window.sent.push(message), on: (name, f) => (listeners[name] ??= []).push(f),
        off: (name, f) => { listeners[name] = (listeners[name] ?? []).filter(each => each !== f); },
    };
    window.leave = code.default.render({model, el: document.body});
    window.listening = () => Object.values(listeners).flat().length;
}"""


@pytest.fixture
def live(browser, sample_evidence):
    """A page with a live view, and `answer(number, removed)` to play the kernel."""
    page = browser.chromium.new_page()
    page.set_default_timeout(30_000)
    page.set_content("<!doctype html><body></body>")
    whole = sample_evidence(frames=12)
    said = scene({whole.video: [whole]}, title="t", data="d", generated=False, live=True)
    page.evaluate(START, [MODULE.read_text("utf-8"), STYLE.read_text("utf-8"), json.loads(json.dumps(said))])

    def answer(number: int, removed: list[int]) -> None:
        part = {
            name: getattr(whole, name)[[t for t in range(12) if t not in removed]]
            for name in ("times", "logits", "contributions")
        }
        left = sample_evidence(
            frames=12 - len(removed), planted={}, energy={}, change={}, scores=[0.9, 0.8, 0.7], **part
        )
        page.evaluate(
            "([number, run]) => tell('msg:custom', {kind: 'evidence', number, runs: [run]})",
            [number, left.to_json()],
        )

    page.answer = answer
    page.slider = page.get_by_role("slider", name="Frame of the video")
    page.get_by_role("radio", name="remove").check()
    page.slider.focus()
    yield page
    page.close()


def test_one_request_is_under_way_and_the_newest_waits(live):
    from playwright.sync_api import expect

    scores, status = live.locator(".scores"), live.locator(".status")
    live.keyboard.press("Home")
    live.keyboard.press("Space")
    for _ in range(3):
        live.keyboard.press("Shift+ArrowRight")
    assert live.evaluate("sent.map(each => each.frames)") == [[0]]
    expect(scores).to_contain_text("score (stale)")
    expect(scores).to_have_attribute("aria-busy", "true")
    expect(status).to_contain_text("Encoding again without 1 frame")
    live.answer(1, [0])
    live.wait_for_function("sent.length === 2")
    assert live.evaluate("sent[1].frames") == [0, 1, 2, 3]
    expect(scores).to_contain_text("stale")
    live.answer(2, [0, 1, 2, 3])
    expect(scores).not_to_contain_text("stale")
    expect(scores).to_contain_text("→ 0.900")
    expect(status).to_be_empty()
    live.wait_for_function("state.removed.length === 4 && saved > 0")
    live.get_by_role("button", name="Reset").click()
    expect(live.locator(".most")).to_contain_text("Nothing is changed")
    assert live.evaluate("sent.length") == 2


def test_a_request_that_fails_is_told_and_the_scores_stay_stale(live):
    from playwright.sync_api import expect

    live.keyboard.press("Space")
    live.evaluate("tell('msg:custom', {kind: 'failed', number: 1, text: 'No frame is left <b>'})")
    expect(live.locator(".status")).to_have_text("No frame is left <b>")
    expect(live.locator(".scores")).to_contain_text("stale")


def test_a_kernel_that_dies_while_one_drags(live):
    from playwright.sync_api import expect

    box = live.slider.bounding_box()
    live.mouse.move(box["x"] + 30, box["y"] + 60)
    live.mouse.down()
    live.mouse.move(box["x"] + 200, box["y"] + 60, steps=4)
    live.evaluate("tell('comm_live_update')")
    live.mouse.move(box["x"] + 300, box["y"] + 60, steps=4)
    live.mouse.up()
    expect(live.locator(".status")).to_contain_text("Disconnected")
    expect(live.get_by_role("radio", name="remove")).to_be_disabled()
    live.get_by_role("button", name="Reset").click()
    live.slider.focus()
    live.keyboard.press("Space")
    expect(live.locator(".most")).to_contain_text("1 frame masked")
    expect(live.locator(".scores")).to_contain_text("→")


def test_what_code_sets_is_shown_and_a_closed_view_listens_no_more(live):
    from playwright.sync_api import expect

    live.evaluate("put('masked', [2, 3]); put('frame', 5); put('problem', 'A callback failed <i>')")
    expect(live.locator(".most")).to_contain_text("2 frames masked")
    expect(live.slider).to_have_attribute("aria-valuenow", "6")
    expect(live.locator(".status")).to_have_text("A callback failed <i>")
    live.wait_for_timeout(150)
    assert live.evaluate("saved") == 0
    live.evaluate("leave()")
    assert live.evaluate("listening()") == 0
