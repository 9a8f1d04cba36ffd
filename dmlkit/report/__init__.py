"""Papermill in, HTML out: the notebooks executed on one data set, rendered, with an index page.

    building       all of it, in order
    chapters       the words of the trade: plan, chapter, failure, report
    planning/      which notebooks, with which values, training what; the dry run
    resuming/      what stands from the last call and need not be done again
    scheduling     which notebook runs when, some side by side
    making         one chapter: it stands, cannot run, or is run
    kernels/       one notebook, executed and watched
    pages/         one executed notebook → one HTML page; the index; results.json
    showing        a bar in a terminal, a line a notebook elsewhere
    limits         of time and threads
    interrupting   Ctrl-C and SIGTERM
    sameness       what two executions of one notebook may differ in

A report is a folder: `index.html`, `NN-*.html`, `results.json`, `notebooks/` (executed) and `runs/`.
"""

from __future__ import annotations

import importlib

_HOMES = {
    "Chapter": "chapters",
    "Notebook": "planning.notebooks",
    "Parameter": "planning.parameters",
    "Report": "chapters",
    "build_report": "building",
    "find_notebooks": "planning.notebooks",
    "notebooks_folder": "planning.notebooks",
    "outside_references": "pages.outside",
    "read_parameters": "planning.parameters",
    "strip_timestamps": "sameness",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
