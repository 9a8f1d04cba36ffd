"""Latency of the attention view, from a file and in a real JupyterLab; prints figures and asserts nothing.

    python tests/benchmarks/bench_explorer.py

300 frames × 20 classes × 3 runs, and 3,600 frames × 20 classes of one run. A step's time is the browser's work on it:
the handlers, the painting in the next animation frame, and the layout and raster behind it. Chromium is headless and
draws on the CPU.
"""

import gzip
import importlib.util
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

TESTS = Path(__file__).resolve().parents[1]
FRAMES, LONG, CLASSES, STEPS = 300, 3600, 20, 100
NAMES = {
    "scrub": "scrub step",
    "mask": "mask step",
    "zoom": "zoom step (key)",
    "wheel": "zoom step (wheel)",
    "temperature": "temperature move",
    "top": "top-frames move",
}
CELLS = (
    "import time, dmlkit\n"
    "from dmlkit.data import FULL_SIZES, synthesize\n"
    "from dmlkit.models import build\n"
    "data = dmlkit.open_dataset(synthesize('videos', train=20, validate=20, test=0, sizes=FULL_SIZES, min_frames=300, "
    "max_frames=300))\n"
    "features = {each.name: (each.size, each.coding) for each in data.features.values()}\n"
    "models = [build(features=features, level='frame', num_classes=data.num_classes, encoder=encoder, units=64, "
    "layers=2, pooling='attention') for encoder in ('bi_gru', 'bi_lstm', 'bi_gru')]",
    "view = dmlkit.explore(models, data)\nview",
)

# Returns what each step cost the page's thread (the handlers, and the next animation frame to the end of its painting
# and layout), and how often the picture was found empty.
STEPS_JS = """async ([selector, kind, steps]) => {
    const view = document.querySelector(selector), slider = view.querySelector('.strips');
    const canvas = slider.querySelector('canvas'), channel = new MessageChannel();
    const input = view.querySelectorAll('.tweak input[type=range]')[kind === 'top' ? 1 : 0];
    const key = (name, shiftKey) =>
        slider.dispatchEvent(new KeyboardEvent('keydown', {key: name, shiftKey, bubbles: true}));
    const slide = value => { input.value = value; input.dispatchEvent(new Event('input', {bubbles: true})); };
    const wheel = deltaY => slider.dispatchEvent(new WheelEvent('wheel', {
        deltaY, ctrlKey: true, bubbles: true, cancelable: true, clientX: slider.getBoundingClientRect().left + 300,
    }));
    const inputs = {
        scrub: step => key(step % 60 < 30 ? 'ArrowRight' : 'ArrowLeft', false),
        mask: () => { key('ArrowRight', false); key('m', false); },
        zoom: step => key(step % 8 < 4 ? '+' : '-', false),
        wheel: step => wheel(step % 40 < 20 ? -20 : 20),
        temperature: step => slide((step % 90) / 50 - 0.9),
        top: step => slide(300 - 2 * step),
    };
    const row = () => canvas.getContext('2d').getImageData(0, 20, canvas.width, 90).data;
    const costs = [];
    let blank = 0;
    slider.focus();
    for (let step = 0; step < steps; step++) {
        await new Promise(requestAnimationFrame);
        // Requested before the view's own request, so that it runs before the view paints, in the same frame.
        const painted = new Promise(done => requestAnimationFrame(() => {
            const begun = performance.now();
            channel.port1.onmessage = () => done(performance.now() - begun);
            channel.port2.postMessage(0);
        }));
        const start = performance.now();
        inputs[kind](step);
        const handled = performance.now() - start;
        costs.push(handled + await painted);
        if (step % 10 === 0 && !row().some(x => x)) blank++;
    }
    return {costs, blank};
}"""


# From the data being there, when the page is parsed, to the first strip drawn.
FIRST_PAINT_JS = """
const watch = () => {
    const canvas = document.querySelector('.strips canvas');
    const done = () => { window.drawn = performance.now(); };
    requestAnimationFrame(canvas && canvas.height > 200 ? done : watch);
};
document.addEventListener('readystatechange', () => {
    if (document.readyState === 'interactive') { window.there = performance.now(); watch(); }
});"""

# `wait_for_function` polls by eval, which the page's policy forbids.
PAINTED_JS = """() => new Promise(done => {
    const wait = () => window.drawn ? done(window.drawn - window.there) : requestAnimationFrame(wait);
    wait();
})"""

# From the choice in the menu to the frame that draws the new scores.
SWITCH_JS = """place => new Promise(done => {
    const menu = document.querySelector('.dmlkit-av select[aria-label="Video"]');
    const scores = document.querySelector('.dmlkit-av .scores'), before = scores.innerText;
    const start = performance.now();
    new MutationObserver((_, me) => {
        if (scores.innerText === before) return;
        me.disconnect();
        requestAnimationFrame(() => done(performance.now() - start));
    }).observe(scores, {childList: true, subtree: true, characterData: true});
    menu.selectedIndex = place;
    menu.dispatchEvent(new Event('change', {bubbles: true}));
})"""


def print_times(what: str, values) -> None:
    median, high, worst = np.percentile(values, [50, 95, 100])
    print(f"{what}: median {median:.1f} ms, 95 % {high:.1f}, worst {worst:.1f}")


def print_steps(page, where: str, *kinds: str) -> None:
    for kind in kinds or NAMES:
        found = page.evaluate(STEPS_JS, [".dmlkit-av", kind, STEPS])
        print_times(f"{where}, {NAMES[kind]}", found["costs"])
        print(f"    found empty between updates: {found['blank']} of {STEPS // 10} times")


def write_page(folder: Path, evidence, *, frames: int, runs: int, videos: int) -> Path:
    """A report's page with some videos of as many runs."""
    from dmlkit.explorer.evidence import scene
    from dmlkit.explorer.saved_view import MIME
    from dmlkit.report.pages import render_notebook

    names, sizes = [f"run {number}" for number in range(runs)], {"frames": frames, "classes": CLASSES}
    several = {
        f"v{video}": [
            evidence(**sizes, seed=10 * video + at, run=run, video=f"v{video}")
            for at, run in enumerate(names)
        ]
        for video in range(videos)
    }
    texts = [json.dumps(each.to_json()) for each in several["v0"]]
    print(f"{frames} frames, bytes a video and run: {max(map(len, texts)):,}")
    about = {"title": "Runs", "data": "made up", "generated": True, "runs": names, "class_groups": {}}
    about |= {"class_names": [f"class {label}" for label in range(CLASSES)], "videos": {}, "note": None}
    data = {MIME: scene(several, SimpleNamespace(**about)), "text/html": "still"}
    cell = new_code_cell("explore", outputs=[new_output("display_data", data=data)])
    nbformat.write(new_notebook(cells=[cell]), folder / "n.ipynb")
    about = {"title": "n", "data": "d", "generated": True, "profile": "smoke", "executed": "2026-03-08T14:05"}
    page = folder / f"{frames}.html"
    page.write_text(render_notebook(folder / "n.ipynb", pages={}, seconds=1.0, **about))
    return page


def test_sizes():
    from dmlkit.explorer.saved_view import MODULE, STYLE

    for name, text in {"module": MODULE, "style sheet": STYLE}.items():
        print(f"{name}: {len(text.encode()):,} bytes, gzip {len(gzip.compress(text.encode(), 9)):,}")


def test_from_a_file(browser, sample_evidence, tmp_path):
    path, paints = write_page(tmp_path, sample_evidence, frames=FRAMES, runs=3, videos=8), []
    with browser.page(width=1280, picture=tmp_path / "end.png") as page:
        page.add_init_script(FIRST_PAINT_JS)
        for _ in range(5):
            page.goto(path.as_uri())
            paints.append(page.evaluate(PAINTED_JS))
        print_times("file, first paint after the data are there", paints)
        print_steps(page, "file")
        print_times("file, switch video", [page.evaluate(SWITCH_JS, place) for place in range(1, 8)])
    print(f"requests outside: {len(browser.outside)}")


def test_a_long_video_from_a_file(browser, sample_evidence, tmp_path):
    path = write_page(tmp_path, sample_evidence, frames=LONG, runs=1, videos=1)
    with browser.page(width=1280, picture=tmp_path / "end.png") as page:
        page.add_init_script(FIRST_PAINT_JS)
        page.goto(path.as_uri())
        page.wait_for_function("window.drawn > 0")
        print_times(
            "file, first paint after the data are there", [page.evaluate("window.drawn - window.there")]
        )
        print_steps(page, f"file, {LONG} frames", "scrub", "zoom", "wheel", "mask")


def test_in_jupyterlab(lab, browser, tmp_path):
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    cells = [new_code_cell(cell) for cell in CELLS]
    nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": kernel}), lab.folder / "bench.ipynb")
    with browser.page(width=1280, height=1000, picture=tmp_path / "end.png") as page:
        page.goto(f"{lab.url}lab/tree/bench.ipynb?token={lab.token}&reset", wait_until="domcontentloaded")
        page.locator("#jp-main-statusbar").get_by_text("| Idle").first.wait_for()
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.locator('li[data-command="runmenu:run-all"]').click()
        page.locator(".dmlkit-av .here:not(:empty)").wait_for()
        print_steps(page, "JupyterLab")
        waits = [page.evaluate(SWITCH_JS, place) for place in range(1, 12)]
        print_times("JupyterLab, three runs, switch video, input to picture, after the first two", waits[2:])
    print(f"requests outside: {len(browser.outside)}")


if __name__ == "__main__":
    # The browser and JupyterLab are fixtures of the explorer's tests.
    spec = importlib.util.spec_from_file_location("explorer_conftest", TESTS / "explorer" / "conftest.py")
    fixtures = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fixtures)
    options = ["-qs", "-pno:cacheprovider", "-oaddopts=--import-mode=importlib", "-otimeout=900"]
    sys.exit(pytest.main([__file__, *options, *sys.argv[1:]], plugins=[fixtures]))
