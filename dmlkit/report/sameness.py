"""What two executions of one notebook may differ in, taken out: what is left must be the same."""

from __future__ import annotations

import copy
import re

import nbformat

TIMES = "times"  # the tag of cells whose outputs are measured seconds
WIDGET = "application/vnd.jupyter.widget-view+json"
TEXTS = ("text/plain", "text/html", "text/markdown")

# `4.2 s`, `1,234.5 s` as the library prints them, with the blanks that fill a column before them.
DURATION = re.compile(r"[ \t]*(?<![\w.,])\d[\d,]*\.\d+ s\b")


def strip_timestamps(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """A copy of an executed notebook without its times, and without what the machinery around it numbers anew.

    Taken out are:

    * of the notebook's metadata: `papermill` (times, paths, versions), `dmlkit_report` (stamp, date, seconds) and
      `widgets` (the state of widgets, under ids drawn anew);
    * of each cell's metadata: `papermill` and `execution` (times);
    * the outputs of cells tagged `times`: figures, tables and sentences of measured seconds;
    * the model id of each widget that is shown; the picture beside it stays;
    * durations in what was printed or shown as text (`4.2 s`): they become `# s`.

    Args:
        notebook: As `nbformat.read` gives it; it stays as it is.
    """
    notebook = copy.deepcopy(notebook)
    _drop(notebook.metadata, "papermill", "dmlkit_report", "widgets")
    for cell in notebook.cells:
        _drop(cell.metadata, "papermill", "execution")
        if cell.cell_type == "code":
            cell.outputs = [] if TIMES in cell.metadata.get("tags", []) else [*map(_output, cell.outputs)]
    return notebook


def _drop(metadata: dict, *names: str) -> None:
    for name in names:
        metadata.pop(name, None)


def _output(output: nbformat.NotebookNode) -> nbformat.NotebookNode:
    if "text" in output:
        output.text = DURATION.sub(" # s", output.text)
    data = output.get("data", {})
    for kind in TEXTS:
        if kind in data:
            data[kind] = DURATION.sub(" # s", data[kind])
    if WIDGET in data:
        data[WIDGET].pop("model_id", None)
    return output
