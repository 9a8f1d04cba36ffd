"""One notebook through papermill, and an honest account of how it ended."""

from __future__ import annotations

import logging
import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import nbformat
import papermill
from nbclient.exceptions import DeadKernelError
from papermill.exceptions import PapermillExecutionError
from papermill.log import logger

from dmlkit.report.chapters import Failure
from dmlkit.report.kernel import LOG, settings
from dmlkit.report.stopping import Stop

ANSI = re.compile(r"\x1b\[[0-9;]*m")
BANNER = "report-banner"
START_TIMEOUT = 180  # seconds: a loaded machine is slow to start a kernel


@dataclass
class _Stream:
    """What a kernel prints, handed on line by line."""

    said: Callable[[str], None]

    def write(self, text: str) -> None:
        for line in re.split(r"[\r\n]+", text):
            if line.strip():
                self.said(ANSI.sub("", line.strip()))

    def flush(self) -> None:
        """Nothing is held back."""


def execute(
    source: Path,
    target: Path,
    values: Mapping[str, object],
    *,
    said: Callable[[str], None] = lambda line: None,
    moved: Callable[[], None] = lambda: None,
    threads: int | None = None,
    seconds: float | None = None,
    stop: Stop | None = None,
    looked_at: Path | None = None,
) -> Failure | None:
    """Execute a notebook with the interpreter that runs this, in the folder of the executed notebook.

    Args:
        source: The notebook; it is only read.
        target: Where the executed notebook goes; what a failed one got done is kept there.
        values: Parameter → value.
        said: Called with each line the notebook prints.
        moved: Called after each cell.
        threads: How many each library may use in the kernel; as many as it likes where None.
        seconds: The time limit of the notebook; none where None.
        stop: When it is asked, the kernel is ended.
        looked_at: File that takes the folder of every run the notebook looks at.

    Returns:
        How it failed, or None.
    """
    logger.setLevel(logging.CRITICAL)  # what papermill would log, the report says itself
    failure = None
    with tempfile.TemporaryDirectory(prefix="dmlkit-") as folder:
        try:
            papermill.execute_notebook(
                _verbatim(source),
                _verbatim(target),
                parameters=dict(values),
                kernel_name="python3",
                language="python",
                progress_bar=False,
                start_timeout=START_TIMEOUT,
                stdout_file=_Stream(said),
                resources={"metadata": {"path": str(target.parent)}},
                on_cell_complete=lambda cell, cell_index: moved(),
                **settings(folder),
            )
        except PapermillExecutionError as error:
            kind = "data" if error.ename == "DataError" else "cell"
            failure = Failure(kind=kind, cell=error.cell_index, message=_last_lines(error))
        except DeadKernelError:
            failure = Failure(kind="kernel died", cell=_running_cell(target), message=DEAD)
        except RuntimeError as error:  # nbclient's word for a kernel that never answered
            said_last = _last_of(Path(folder) / LOG)
            failure = Failure(
                kind="kernel died", cell=0, message=f"The kernel did not start: {error}{said_last}"
            )
    _tidy(target, failure)
    return failure


DEAD = (
    "The kernel died while this cell ran. The likely cause is memory: the operating system ends the process that "
    "takes the most. Give a smaller profile or batch size, or close other programs."
)


def _verbatim(path: Path) -> str:
    # papermill fills in {names} in paths.
    return str(path.resolve()).replace("{", "{{").replace("}", "}}")


def _last_lines(error: PapermillExecutionError) -> str:
    """What was raised, in full for the errors made for readers, else shortened."""
    value = ANSI.sub("", error.evalue).strip()
    if len(value) > 1500:
        value = value[:1500] + " ..."
    return f"{error.ename}: {value}" if value else error.ename


def _last_of(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
    return "".join(f"\n{line}" for line in lines[-5:])


def _running_cell(target: Path) -> int:
    """The last cell that had begun: papermill calls it, and all after it, completed."""
    cells = nbformat.read(target, as_version=4).cells
    return max(
        (place for place, cell in enumerate(cells) if cell.metadata.get("papermill", {}).get("start_time")),
        default=0,
    )


def _tidy(target: Path, failure: Failure | None) -> None:
    """Mark the failure truthfully, give every cell a stable id, and join what was printed in pieces."""
    notebook = nbformat.read(target, as_version=4)
    # papermill's own marks carry styling and take ids at random; ours stands at the top.
    place = 0
    cells = []
    for cell in notebook.cells:
        if "papermill-error-cell-tag" in cell.metadata.get("tags", []):
            continue
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell.id = "injected-parameters"
        if cell.cell_type == "code":
            cell.outputs = _joined(cell.outputs)
        if failure:
            _mark(cell, place, failure)
        cells.append(cell)
        place += 1
    if failure:
        cells.insert(0, _banner(cells[failure.cell], failure))
    notebook.cells = cells
    nbformat.write(notebook, target)


def _mark(cell, place: int, failure: Failure) -> None:
    about = cell.metadata.setdefault("papermill", {})
    if place == failure.cell:
        about["status"] = "failed"
    elif place > failure.cell:
        about["status"] = "not run"


def _banner(cell, failure: Failure):
    text = f"**This notebook stopped** at the cell `{cell.id}`; what follows that cell was not run.\n\n"
    # A code block shows the message as it is, whatever it holds.
    fence = "`" * 6
    banner = nbformat.v4.new_markdown_cell(f"{text}{fence}text\n{failure.message}\n{fence}", id="stopped")
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
