"""The view in a real JupyterLab, moved by hand: keys, masking, removing, callbacks, a kernel that dies."""

import re

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

ERRORS = '[data-mime-type="application/vnd.jupyter.error"]'
KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}


@pytest.fixture(scope="module")
def notebook(lab, generated, smoke_runs):
    """Two views of one run, and a cell to type into."""
    run = str(smoke_runs["attention"].path)
    cells = [
        f"import dmlkit\ndataset = dmlkit.open_dataset({str(generated)!r})",
        f"view = dmlkit.explore({run!r}, dataset)\nview",
        f"other = dmlkit.explore({run!r}, dataset)\nother",
        "",
    ]
    path = lab.folder / "view.ipynb"
    nbformat.write(
        new_notebook(cells=[new_code_cell(cell) for cell in cells], metadata={"kernelspec": KERNEL}), path
    )
    return path


class Hand:
    """What one does with a view in a notebook."""

    def __init__(self, page, place: int):
        self.page, self.view = page, page.locator(".dmlkit-av").nth(place)
        self.slider = self.view.get_by_role("slider", name="Frame of the video")
        self.most, self.status = self.view.locator(".most"), self.view.locator(".status")

    def says(self) -> str:
        return self.slider.get_attribute("aria-valuetext")


def run_cell(page, code: str) -> str:
    """Type code into the last cell, run it, and give what it printed."""
    cell = page.locator(".jp-Notebook .jp-CodeCell").last
    cell.locator(".cm-content").click()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(code + "\nprint('-done-')")
    page.keyboard.press("Control+Enter")
    page.wait_for_function(
        "() => [...document.querySelectorAll('.jp-Notebook .jp-CodeCell')].at(-1).innerText.includes('\\n-done-')"
    )
    said = cell.locator(".jp-OutputArea-output").all_text_contents()
    return "".join(said).replace("-done-", "").strip()


@pytest.mark.timeout(900)
def test_a_view_in_jupyterlab(lab, browser, notebook, tmp_path):
    from playwright.sync_api import expect

    with browser.page(width=1280, height=1000, picture=tmp_path / "end.png") as page:
        expect.set_options(timeout=60_000)
        page.goto(f"{lab.url}lab/tree/{notebook.name}?token={lab.token}&reset", wait_until="domcontentloaded")
        page.locator(".jp-Notebook .jp-CodeCell").first.wait_for()
        # Earlier, JupyterLab would ask which kernel to take.
        page.locator("#jp-main-statusbar").get_by_text("| Idle").first.wait_for()
        page.keyboard.press("Control+b")
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.locator('li[data-command="runmenu:run-all"]').click()
        one, two = Hand(page, 0), Hand(page, 1)
        expect(two.slider).to_have_attribute("aria-valuemax", "10")
        assert page.locator(ERRORS).all_text_contents() == []

        # Keys move through the frames; JupyterLab's own (a, b: a new cell; x: cut one) stay silent meanwhile.
        cells = page.locator(".jp-Notebook .jp-CodeCell")
        one.slider.focus()
        for key, said in (
            ("Home", "0 s"),
            ("ArrowRight", "1 s"),
            ("End", "9 s"),
            ("PageDown", "8 s"),
            ("a", "8 s"),
        ):
            page.keyboard.press(key)
            expect(one.slider).to_have_attribute(
                "aria-valuetext", re.compile(rf"^{said}, weight .*top class ")
            )
        for key in "bxdd":
            page.keyboard.press(key)
        assert cells.count() == 4
        assert one.slider.evaluate("element => element === document.activeElement")
        one.view.screenshot(path=tmp_path / "light.png")

        # Masking happens in the page, and Python knows; the other view of the same run stays as it is.
        before = two.says()
        page.keyboard.press("Space")
        expect(one.most).to_contain_text("1 frame masked")
        assert two.says() == before and "Nothing is changed" in two.most.text_content()
        assert (
            run_cell(page, "print(view.frame, view.masked, view.weights[8], other.masked)") == "8 (8,) 0.0 ()"
        )

        # Code moves the view.
        run_cell(page, "view.temperature = 2.0; view.frame = 3")
        expect(one.slider).to_have_attribute("aria-valuenow", "4")
        expect(one.view.get_by_role("slider", name="Temperature")).to_have_attribute("aria-valuetext", "2.00")

        # Removing asks the kernel; the scores are those of Python.
        one.view.get_by_role("button", name="Reset").click()
        one.view.locator("input[value=remove]").check()
        one.slider.focus()
        for key in ("Home", "Space", "Shift+ArrowRight"):
            page.keyboard.press(key)
        expect(one.most).to_contain_text("2 frames removed")
        expect(one.view.locator(".scores")).not_to_have_class("scores stale")
        expect(one.view.locator(".words")).to_contain_text("8 of 10 frames kept")
        top = run_cell(
            page, "print(view.removed, *(f'{score:.3f}' for score in view.scores.values()))"
        ).split()
        shown = [text.split("→")[-1].strip() for text in one.view.locator(".scores td").all_text_contents()]
        assert top[:2] == ["(0,", "1)"] and sorted(shown) == sorted(top[2:])

        # What a callback raises is shown in the view.
        run_cell(page, "def broken(view):\n    raise ValueError('told you')\nview.on_change(broken)")
        one.slider.focus()
        page.keyboard.press("End")
        expect(one.view.locator(".problem")).to_contain_text(
            "A callback failed, broken: ValueError: told you"
        )
        run_cell(page, "view.callbacks.clear()")

        # Another video, by hand.
        page.locator(".widget-dropdown:has-text('Video') select").nth(1).select_option(index=3)
        expect(one.view.locator(".most")).to_contain_text("Nothing is changed")
        assert run_cell(page, "print(view.video, view.removed)") == "validate000003 ()"

        page.get_by_role("menuitem", name="Settings", exact=True).click()
        page.get_by_text("Theme", exact=True).first.hover()
        page.get_by_text("JupyterLab Dark", exact=True).first.click()
        expect(one.view).to_have_class("dmlkit-av on-dark")
        one.view.screenshot(path=tmp_path / "dark.png")
        page.set_viewport_size({"width": 480, "height": 900})
        one.view.screenshot(path=tmp_path / "narrow.png")
        page.set_viewport_size({"width": 1280, "height": 1000})

        # The kernel dies: the view says so, and masking still works.
        cell = page.locator(".jp-Notebook .jp-CodeCell").last
        cell.locator(".cm-content").click()
        page.keyboard.press("Control+a")
        page.keyboard.insert_text("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
        page.keyboard.press("Control+Enter")
        expect(one.status).to_contain_text("Disconnected")
        if page.locator(".jp-Dialog").count():
            page.locator(".jp-Dialog button").last.click()
        expect(one.view.locator("input[value=remove]")).to_be_disabled()
        one.slider.focus()
        page.keyboard.press("Home")
        page.keyboard.press("Space")
        expect(one.most).to_contain_text("1 frame masked")
        one.view.screenshot(path=tmp_path / "disconnected.png")

    assert browser.outside == []
