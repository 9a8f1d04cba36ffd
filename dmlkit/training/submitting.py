"""Predictions of finished runs as a file, in YouTube-8M's form for submissions."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dmlkit.data import RAISE, Skipped, as_dataset
from dmlkit.errors import UsageError
from dmlkit.metrics import top_k_pairs
from dmlkit.runs import Run
from dmlkit.submission import HEADER, file_for, lines_for_people, submission_lines
from dmlkit.text import readable
from dmlkit.training.members import check_fit, members_of, score_blocks


def submit(
    run: Run | str | os.PathLike | Sequence[Run | str | os.PathLike],
    *,
    data,
    out: str | os.PathLike,
    split: str = "test",
    top_k: int = 20,
    names: bool = False,
    by: str | None = None,
    on_fault: str | Skipped = RAISE,
) -> int:
    """Write each video's best classes, as the videos are scored: memory does not grow with their number.

    Scores are written as they are measured, at half precision, so that the file gives the GAP@20 that `evaluate`
    gives.

    Args:
        run: A run, or its folder; an ensemble scores with its members, several runs as an ensemble of them.
        data: A data set, or the path of one, with the features the run was trained on.
        out: The file, there once it is whole; compressed where it ends in `.gz`; `-` for standard output.
        split: The part; it needs no labels.
        top_k: Classes a video; YouTube-8M takes at most 20.
        names: Write for people: class names, a line each. That is no submission.
        by: How several runs are combined, as for `ensemble`; where None, by Algorithm 2.
        on_fault: As for `Dataset.batches`.

    Returns:
        How many videos were written.

    Raises:
        UsageError: The data set's features or classes are not the run's, or the file cannot be written.
        DataError: The data are damaged, or hold an id that the form cannot.

    Paper: §Measure (of every video the 20 highest-scoring labels).
    """
    check_out(out)
    members = members_of(run, by=by)
    dataset = as_dataset(data)
    check_fit(members, dataset)
    blocks = score_blocks(members, dataset, split, on_fault=on_fault)
    class_names, videos = readable(dataset.class_names), 0
    with file_for(out) as file:
        if not names:
            file.write(f"{HEADER}\n".encode())
        for block in blocks:
            top = top_k_pairs(block.scores.astype(np.float32), top_k)
            file.write(
                lines_for_people(block.ids.tolist(), top, class_names)
                if names
                else submission_lines(block.ids.tolist(), top)
            )
            videos += len(block.ids)
    return videos


def check_out(out: str | os.PathLike) -> None:
    """Refuse a file that cannot be written, before anything is scored.

    Raises:
        UsageError: It is a folder, a device or a pipe, or its folder is not there.
    """
    if os.fspath(out) == "-":
        return
    if Path(out).is_dir():
        raise UsageError(f"Predictions cannot be written to {out}: a folder stands there. Name a file.")
    if Path(out).exists() and not Path(out).is_file():
        # A file put in its place would take it away, for all programs.
        raise UsageError(
            f"Predictions cannot be written to {out}: a device or a pipe stands there. Name a file, or - for standard "
            "output."
        )
    if not Path(out).parent.is_dir():
        raise UsageError(f"Predictions cannot be written to {out}: there is no folder {Path(out).parent}.")
