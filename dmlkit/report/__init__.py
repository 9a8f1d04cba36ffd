"""Papermill in, HTML out: the notebooks executed on one data set, rendered, with an index page.

    parameters   a parameters cell, read without a kernel; text → typed values
    notebooks    which notebooks there are, and what each one needs
    chapters     the words of the trade: plan, chapter, failure, report
    planning     which of them run on this data set, with which values
    kernel       the project's own interpreter, whatever kernels the user has registered
    execution    one notebook through papermill; what became of it
    rendering    one executed notebook → one HTML page that asks for nothing outside
    pages        what surrounds it; where its neighbours are
    summary      results.json: the ladder, the data, the conditions
    index        the index page
    building     all of it, in order
    showing      a bar in a terminal, a line a notebook elsewhere
    sameness     what two executions of one notebook may differ in
    outside      what a page would fetch from elsewhere

A report is a folder: `index.html`, `NN-*.html`, `results.json`, `notebooks/` (executed) and `runs/`.
"""

from __future__ import annotations

import importlib

_HOMES = {
    "Chapter": "chapters",
    "Notebook": "notebooks",
    "Parameter": "parameters",
    "Report": "chapters",
    "build_report": "building",
    "find_notebooks": "notebooks",
    "notebooks_folder": "notebooks",
    "outside_references": "outside",
    "read_parameters": "parameters",
    "without_times": "sameness",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
