"""What passes between the view and a kernel, with a kernel that the test plays itself."""

import json
import re

import pytest

from dmlkit.explorer.attention_widget import AttentionWidget
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
    window.hooks = {};
    window.another = () => {
        const el = document.body.appendChild(document.createElement('div'));
        return code.default.render({model, el, hooks: window.hooks});
    };
    window.leave = another();
    window.listening = () => Object.values(listeners).flat().length;
}"""


@pytest.fixture
def live(browser, sample_evidence):
    """A page with a live view, and `answer(place, scores)` to play the kernel: to the request sent as `place`-th."""
    page = browser.chromium.new_page()
    page.set_default_timeout(30_000)
    page.set_content("<!doctype html><body></body>")
    whole = sample_evidence(frames=12)
    said = scene({whole.video: [whole]}, title="t", data="d", generated=False, live=True)
    page.evaluate(START, [MODULE.read_text("utf-8"), STYLE.read_text("utf-8"), json.loads(json.dumps(said))])

    def answer(place: int, scores=(0.9, 0.8, 0.7), **said) -> None:
        asked = page.evaluate(f"sent[{place}]")
        removed = asked["frames"]
        part = {
            name: getattr(whole, name)[[t for t in range(12) if t not in removed]]
            for name in ("times", "logits", "contributions")
        }
        left = sample_evidence(
            frames=12 - len(removed), planted={}, energy={}, change={}, scores=scores, **part
        )
        message = {**asked, "kind": "evidence", "runs": [left.to_json()], **said}
        page.evaluate("message => tell('msg:custom', message)", message)

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
    live.answer(0)
    live.wait_for_function("sent.length === 2")
    assert live.evaluate("sent[1].frames") == [0, 1, 2, 3]
    expect(scores).to_contain_text("stale")
    live.answer(1)
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
    live.evaluate("tell('msg:custom', {...sent[0], kind: 'failed', text: 'No frame is left <b>'})")
    expect(live.locator(".status")).to_have_text("No frame is left <b>")
    expect(live.locator(".scores")).to_contain_text("stale")
    live.get_by_role("button", name="Reset").click()
    expect(live.locator(".status")).to_be_empty()


def test_two_views_of_one_widget_take_only_their_own_answers(live):
    from playwright.sync_api import expect

    live.evaluate("void another()")
    first, second = (live.locator(".dmlkit-av").nth(place) for place in (0, 1))
    live.keyboard.press("Home")
    live.keyboard.press("Space")
    live.evaluate("put('removed', [0, 1])")  # the other view hears of two frames: both ask, each as its first
    live.wait_for_function("sent.length === 2")
    assert live.evaluate("sent.map(each => [each.number, each.frames.length])") == [[1, 1], [1, 2]]
    live.answer(0, scores=[0.11, 0.11, 0.11])
    live.wait_for_function("sent.length === 3")  # the first asks for what it shows by now
    expect(second.locator(".scores")).to_contain_text("(stale)")
    expect(second.locator(".scores")).not_to_contain_text("0.110")
    for wrong in ({"video": "another"}, {"frames": [5]}, {"view": "another"}, {"number": 7}):
        live.answer(1, scores=[0.22, 0.22, 0.22], **wrong)
    live.wait_for_timeout(100)
    expect(second.locator(".scores")).to_contain_text("(stale)")
    live.answer(1)
    expect(second.locator(".scores")).not_to_contain_text("(stale)")
    expect(second.locator(".scores")).to_contain_text("→ 0.900")
    expect(first.locator(".scores")).to_contain_text("(stale)")
    live.answer(2)
    expect(first.locator(".scores")).not_to_contain_text("(stale)")


def test_an_answer_to_classes_of_before_is_not_taken(live):
    from playwright.sync_api import expect

    live.keyboard.press("Space")
    live.wait_for_function("saved > 0")
    live.evaluate("put('scene', {...state.scene, title: 'again'})")
    live.wait_for_function("sent.length === 2")
    live.answer(0, scores=[0.11, 0.11, 0.11])
    live.wait_for_timeout(100)
    expect(live.locator(".scores")).to_contain_text("(stale)")
    live.answer(1)
    expect(live.locator(".scores")).to_contain_text("→ 0.900")
    assert live.evaluate("sent.length") == 2


def test_without_any_frame_nothing_is_asked(live):
    from playwright.sync_api import expect

    live.evaluate("put('removed', [...Array(12).keys()])")
    expect(live.locator(".words")).to_contain_text("Every frame is masked or removed")
    expect(live.slider).to_have_attribute("aria-valuetext", re.compile("scores unknown$"))
    assert live.evaluate("sent.length") == 0


def test_a_kernel_that_stays_silent_is_told_and_may_come_back(live):
    from playwright.sync_api import expect

    live.evaluate("hooks.patience = 300")
    live.keyboard.press("Space")
    expect(live.locator(".status")).to_contain_text("has not answered for 0.3 seconds: busy, or gone")
    expect(live.get_by_role("radio", name="remove")).to_be_disabled()
    expect(live.locator(".tool.remove")).to_contain_text("the kernel does not answer")
    expect(live.locator(".scores")).to_contain_text("stale")
    live.evaluate("hooks.patience = 60000")
    live.answer(0)  # late: it is alive, and asked once more
    live.wait_for_function("sent.length === 2")
    expect(live.get_by_role("radio", name="remove")).to_be_enabled()
    live.answer(1)
    expect(live.locator(".scores")).not_to_contain_text("stale")
    expect(live.locator(".status")).to_be_empty()


def test_what_a_callback_raised_stays_while_the_kernel_encodes(live):
    from playwright.sync_api import expect

    live.evaluate("put('problem', 'A callback failed')")
    live.keyboard.press("Space")
    expect(live.locator(".status")).to_contain_text("Encoding again")
    live.answer(0)
    expect(live.locator(".status")).to_be_empty()
    expect(live.locator(".problem")).to_have_text("A callback failed")
    live.evaluate("put('problem', '')")
    expect(live.locator(".problem")).to_be_hidden()


def test_the_kernel_says_what_it_answers_and_counts_a_problem(monkeypatch):
    widget, sent, told = AttentionWidget(lambda video, frames: [{"video": video}]), [], []
    monkeypatch.setattr(widget, "send", sent.append)
    asked = {"view": "a", "number": 3, "video": "v", "frames": [1, 2]}
    widget._asked(widget, {"kind": "remove", **asked}, [])
    assert sent == [{"kind": "evidence", "runs": [{"video": "v"}], **asked}]
    widget.observe(lambda change: told.append(change.new), "problem")
    for said in ("it broke", "it broke", "it broke", "", "it broke"):
        widget.problem = said
    assert told == ["it broke", "it broke (2 times)", "it broke (3 times)", "", "it broke"]


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
    expect(live.locator(".problem")).to_have_text("A callback failed <i>")
    live.wait_for_timeout(150)
    assert live.evaluate("saved") == 0
    live.evaluate("leave()")
    assert live.evaluate("listening()") == 0
