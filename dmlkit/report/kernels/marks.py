"""What an executed notebook says of itself: each cell's status, the banner, and outputs a reader can read."""

from __future__ import annotations

from collections.abc import Set

import nbformat
from nbformat import NotebookNode

from dmlkit.report.chapters import Failure

BANNER = "report-banner"


def own_cells(notebook: NotebookNode) -> None:
    """Leave the notebook's own cells, each with an id that is the same every time."""
    # papermill's own marks carry styling and take ids at random; ours stands at the top.
    cells = [
        cell for cell in notebook.cells if "papermill-error-cell-tag" not in cell.metadata.get("tags", [])
    ]
    for cell in cells:
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell.id = "injected-parameters"
        if cell.cell_type == "code":
            cell.outputs = _joined(cell.outputs)
    notebook.cells = cells


def mark_failure(notebook: NotebookNode, failure: Failure, *, executed: Set[int]) -> None:
    """Say of every cell whether it was completed, failed or not run, and put a banner on top.

    Args:
        notebook: The notebook as it was executed; it is changed.
        failure: How it ended.
        executed: Positions of the cells whose end the kernel reported.
    """
    for place, cell in enumerate(notebook.cells):
        about = cell.metadata.papermill
        unfinished = is_code(cell) and place not in executed
        if about.exception or (unfinished and place == failure.cell and about.start_time):
            about.status, about.exception = "failed", True
        elif unfinished or place > failure.cell:
            about.status, about.exception = "not run", None
        else:
            about.status = "completed"
    notebook.metadata.papermill["exception"] = True
    notebook.cells.insert(0, _banner(notebook.cells, failure))


def is_code(cell: NotebookNode) -> bool:
    """Whether a kernel has anything to do for a cell."""
    return cell.cell_type == "code" and bool(cell.source.strip())


STOPPED = {
    "failed": "at the cell `{}`; what follows that cell was not run.",
    "not run": "before the cell `{}`; that cell and what follows it were not run.",
    "completed": "after its last cell.",
}


def _banner(cells: list[NotebookNode], failure: Failure) -> NotebookNode:
    at = cells[failure.cell]
    text = f"**This notebook stopped** {STOPPED[at.metadata.papermill.status].format(at.id)}"
    # A code block shows the message as it is, whatever it holds.
    fence = "`" * 6
    banner = nbformat.v4.new_markdown_cell(f"{text}\n\n{fence}text\n{failure.message}\n{fence}", id="stopped")
    banner.metadata["tags"] = [BANNER]
    return banner


def _joined(outputs: list) -> list:
    """Successive pieces of one stream as one, each line as a terminal would have left it."""
    joined = []
    for output in outputs:
        last = joined[-1] if joined else {}
        if (
            output.output_type == "stream"
            and last.get("output_type") == "stream"
            and last["name"] == output.name
        ):
            last["text"] += output.text
        else:
            joined.append(output)
    for output in joined:
        if output.output_type == "stream":
            lines = output.text.replace("\r\n", "\n").split("\n")
            output["text"] = "\n".join(line.rstrip("\r").rsplit("\r", 1)[-1] for line in lines)
    return joined
