"""The explorer in a real JupyterLab: keys, masks, removed frames, menus, callbacks, a kernel that dies."""

import shutil
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from dmlkit.data import open_dataset, read_contexts

KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}


def run_all(page, lab, *cells: str) -> None:
    """Open a new notebook with these cells, and run them."""
    name, cells = f"{abs(hash(cells))}.ipynb", [new_code_cell(cell) for cell in cells]
    nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": KERNEL}), lab.folder / name)
    page.goto(f"{lab.url}lab/tree/{name}?token={lab.token}&reset", wait_until="domcontentloaded")
    page.locator("#jp-main-statusbar").get_by_text("| Idle").first.wait_for()
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.locator('li[data-command="runmenu:run-all"]').click()


def type_cell(page, code: str):
    """Type code into the last cell and run it."""
    cell = page.locator(".jp-Notebook .jp-CodeCell").last
    cell.locator(".cm-content").click()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(code)
    page.keyboard.press("Control+Enter")
    return cell


def run_cell(page, code: str) -> str:
    """Run code in the last cell, and return what it printed."""
    cell = type_cell(page, code + "\nprint('-done-')")
    last = "[...document.querySelectorAll('.jp-Notebook .jp-CodeCell')].at(-1)"
    page.wait_for_function(
        f"() => ({last}.querySelector('.jp-OutputArea')?.innerText ?? '').includes('-done-')"
    )
    return cell.locator(".jp-OutputArea").inner_text().replace("-done-", "").strip()


@pytest.mark.slow
def test_a_walk_in_jupyterlab(lab, browser, generated, smoke_runs, tmp_path):
    from playwright.sync_api import expect

    run = str(smoke_runs["attention"].path)
    cells = [f"import dmlkit\nview = dmlkit.explore({run!r}, {str(generated)!r})\nview", ""]
    with browser.page(width=1280, height=1000, picture=tmp_path / "end.png") as page:
        run_all(page, lab, *cells)
        page.locator(".dmlkit-av .here:not(:empty)").first.wait_for()
        view = page.locator(".dmlkit-av").first
        slider, most = view.get_by_role("slider", name="Frame of the video"), view.locator(".most")

        # Keys move the frame and mask it in the browser, and Python knows; JupyterLab's shortcuts do not act.
        slider.focus()
        for key in ("End", "ArrowLeft", "a", "d", "d", "Space"):
            page.keyboard.press(key)
        expect(most).to_contain_text("1 frame masked")
        assert page.locator(".jp-Notebook .jp-CodeCell").count() == 2
        assert run_cell(page, "print(view.frame, view.masked, view.weights[8])") == "8 (8,) 0.0"

        # Python moves the view.
        run_cell(page, "view.temperature = 2; view.frame = 3")
        expect(slider).to_have_attribute("aria-valuenow", "4")
        expect(view.get_by_role("slider", name="Temperature")).to_have_attribute("aria-valuetext", "2.00")

        # Removing asks the kernel; the scores are those of Python.
        view.get_by_role("button", name="Reset").click()
        view.locator("input[value=remove]").check()
        slider.focus()
        for key in ("Home", "Shift+ArrowRight", "Space"):
            page.keyboard.press(key)
        expect(most).to_contain_text("2 frames removed")
        expect(view.locator(".words")).to_contain_text("8 of 10 frames kept")
        expect(view.locator(".scores")).not_to_have_class("scores stale")
        code = "print(view.removed, *(f'{score:.3f}' for score in view.scores.values()))"
        printed = run_cell(page, code).split()
        shown = [text.split("→")[-1].strip() for text in view.locator(".scores td").all_text_contents()]
        assert printed[:2] == ["(0,", "1)"] and sorted(shown) == sorted(printed[2:])

        # The code that is copied makes the same state; the similarity is the kernel's; a similar moment is opened.
        page.evaluate("Object.defineProperty(navigator, 'clipboard', {value: undefined, configurable: true})")
        view.get_by_role("button", name="Copy code").click()
        code = view.get_by_label("Code of this state").input_value()
        printed = run_cell(page, f"again = {code}\nprint(again.state == view.state, again.removed)")
        assert printed == "True (0, 1)"
        view.get_by_role("tab", name="Similarity").click()
        matrix = view.get_by_role("slider", name="Compared frame")
        expect(matrix).to_be_visible()
        matrix.focus()
        page.keyboard.press("End")
        expect(view.locator(".pair")).to_contain_text("Frame 10, at 9 s: most similar")
        view.get_by_label("Compare the frames by").select_option("audio")
        expect(view.get_by_label("Compare the frames by")).to_have_value("audio")
        printed = run_cell(page, "print(view.tab, view.frame, view.scene['similarity']['of'])")
        assert printed == "similarity 9 audio"
        view.get_by_role("tab", name="Frames").click()
        view.get_by_role("button", name="Similar moments").click()
        code = "rows = view.similar(); row = rows[rows.video != view.video].iloc[0]\n"
        printed = run_cell(page, code + "print(row.video, f'{row.similarity:.3f}', row.frame)").splitlines()
        video, similarity, frame = printed[-1].split()
        found = view.locator(".similar tbody tr").filter(has_text=video).first
        expect(found).to_contain_text(similarity)
        found.get_by_role("button").click()
        expect(view.locator(".here")).to_contain_text(f"Frame {int(frame) + 1} of")
        printed = run_cell(page, f"print(view.video == {video!r}, view.frame, view.removed)")
        assert printed == f"True {frame} ()"
        view.get_by_role("button", name="Undo").click()
        expect(most).to_contain_text("2 frames removed")

        # Menus choose the video; a callback's error is shown.
        view.get_by_label("Order", exact=True).select_option("worst")
        expect(most).to_contain_text("Nothing is changed")
        assert run_cell(page, "print(view.video == next(iter(view.source.worst())))") == "True"
        view.get_by_label("Video", exact=True).select_option(index=3)
        expect(most).to_contain_text("Nothing is changed")
        assert run_cell(page, "print(view.video == list(view.source.worst())[3])") == "True"
        run_cell(page, "def broken(view):\n    raise ValueError('it broke')\nview.on_change(broken)")
        slider.focus()
        page.keyboard.press("End")
        expect(view.locator(".problem")).to_contain_text("A callback failed, broken: ValueError: it broke")
        view.screenshot(path=tmp_path / "view.png")

        # The kernel dies: the view says so, and masking still works.
        type_cell(page, "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
        expect(view.locator(".status")).to_contain_text("Disconnected")
        if page.locator(".jp-Dialog").count():
            page.locator(".jp-Dialog button").last.click()
        expect(view.locator("input[value=remove]")).to_be_disabled()
        slider.focus()
        page.keyboard.press("Space")
        expect(most).to_contain_text("1 frame masked")
    assert browser.outside == []


@pytest.mark.slow
def test_a_file_plays_in_jupyterlab(lab, browser, generated, leave_media, tmp_path):
    """Its own handler serves the file, which is fetched when asked for, so that seeking works."""
    from playwright.sync_api import expect

    data = Path(shutil.copytree(generated, lab.folder / "some data"))
    name = next(read_contexts(open_dataset(data), "validate"))[0]
    frames = int(next(iter(open_dataset(data).batches("validate", batch_size=1)))["num_frames"][0])
    leave_media(data, name, frames=frames)
    toml = data / "dataset.toml"
    declared = '[thumbnails]\npath = "thumbnails/{id}.webp"\nwidth = 64\nheight = 36\ncolumns = 5\n'
    toml.write_text(f'media = "videos/{{id}}.*"\n{toml.read_text()}\n{declared}')
    code = f"import dmlkit, dmlkit.models\ndata = dmlkit.open_dataset({str(data)!r})\n"
    code += "sizes = {each.name: (each.size, each.coding) for each in data.features.values()}\n"
    code += (
        "about = {'level': 'frame', 'num_classes': data.num_classes, 'pooling': 'attention', 'units': 2}\n"
    )
    code += "dmlkit.explore(dmlkit.models.build(features=sizes, **about), data)"
    with browser.page(width=1280, height=1000, picture=tmp_path / "end.png") as page:
        asked = []
        page.on("request", lambda request: asked.append(request.url))
        run_all(page, lab, code)
        expect(page.locator(".dmlkit-av .film").first).to_be_visible(timeout=120_000)
        address = f"{lab.url}files/some%20data/videos/{name}.wav"
        assert address not in asked
        page.get_by_role("button", name="Load the audio file").click()
        sound, slider = page.locator("audio"), page.get_by_role("slider", name="Frame of the video")
        expect(sound).to_have_js_property("readyState", 4)
        assert address in asked
        slider.focus()
        for key, second in (("End", frames - 1), ("Home", 0)):
            page.keyboard.press(key)
            expect(sound).to_have_js_property("currentTime", second)
        sound.evaluate("sound => { sound.currentTime = 4.2; }")
        expect(slider).to_have_attribute("aria-valuenow", "5")
        page.locator(".dmlkit-av").first.screenshot(path=tmp_path / "view.png")
    assert browser.outside == []
