"""The walk's notebook on attention in a real JupyterLab, moved by hand."""

import re
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = "05-attention.ipynb"
ERRORS = '[data-mime-type="application/vnd.jupyter.error"]'


def with_parameters(notebook, values: dict):
    """The notebook with other literals in its parameters cell; each of them must be there."""
    cell = next(cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", []))
    for name, value in values.items():
        cell.source, found = re.subn(rf"(?m)^({name}\b[^=\n]*=\s*)[^#\n]*", rf"\g<1>{value!r}  ", cell.source)
        assert found == 1, f"{name} is no parameter of the notebook"
    return notebook


@pytest.fixture(scope="module")
def notebook(lab, generated, smoke_runs) -> Path:
    """A copy of the notebook on small data, where a run is already there."""
    runs = smoke_runs["attention"].path.parent
    copy = with_parameters(
        nbformat.read(ROOT / "notebooks" / NOTEBOOK, as_version=4),
        {"data": str(generated), "profile": "smoke", "runs": str(runs), "beside": False},
    )
    path = lab.folder / NOTEBOOK
    nbformat.write(copy, path)
    return path


@pytest.mark.timeout(900)
def test_the_slider_moves_through_the_frames(lab, browser, notebook, tmp_path):
    from playwright.sync_api import expect

    with browser.page(width=1280, picture=tmp_path / "end.png") as page:
        page.goto(f"{lab.url}lab/tree/{notebook.name}?token={lab.token}&reset", wait_until="domcontentloaded")
        page.locator(".jp-Notebook .jp-CodeCell").first.wait_for()
        # Earlier, JupyterLab would ask which kernel to take.
        page.locator("#jp-main-statusbar").get_by_text("| Idle").first.wait_for()
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.locator('li[data-command="runmenu:run-all"]').click()

        wait_until_finished(page)
        assert page.locator(ERRORS).all_text_contents() == []

        viewer = page.locator(".dmlkit-attention").first
        viewer.wait_for()
        said, mark = viewer.locator(".dmlkit-frame"), viewer.locator(".dmlkit-mark line").first
        bars = viewer.locator("rect.bar").first
        bars.evaluate("bar => bar.setAttribute('data-drawn', 'once')")
        viewer.scroll_into_view_if_needed()
        handle = viewer.get_by_role("slider")
        handle.focus()
        handle.press("Home")
        expect(said).to_contain_text("Frame 1 of 10, at 0 s", timeout=60_000)
        start = mark.get_attribute("x1")
        handle.press("ArrowRight")
        expect(said).to_contain_text("Frame 2 of 10, at 1 s", timeout=60_000)
        assert mark.get_attribute("x1") != start
        handle.press("End")
        expect(said).to_contain_text("Frame 10 of 10, at 9 s", timeout=60_000)
        # The bars were not drawn anew, and JupyterLab has not taken the keys to another cell.
        assert bars.get_attribute("data-drawn") == "once"
        assert handle.evaluate("element => element === document.activeElement")
        viewer.screenshot(path=tmp_path / "wide.png")

        picker = viewer.locator("select").first
        picker.select_option(index=1)
        expect(bars).not_to_have_attribute("data-drawn", "once", timeout=60_000)
        page.keyboard.press("Control+b")
        page.set_viewport_size({"width": 480, "height": 900})
        viewer.scroll_into_view_if_needed()
        viewer.screenshot(path=tmp_path / "narrow.png")

    assert browser.outside == []


def wait_until_finished(page) -> None:
    """Every cell has its number, or one has failed: those after it are not run then."""
    page.wait_for_function(
        """errors => {
            const cells = [...document.querySelectorAll('.jp-Notebook .jp-CodeCell')];
            const prompts = cells.map(cell => cell.querySelector('.jp-InputPrompt').textContent.trim());
            const finished = prompts.length > 0 && prompts.every(prompt => /^\\[\\d+\\]:$/.test(prompt));
            return finished || document.querySelector(errors) !== null;
        }""",
        arg=ERRORS,
    )
