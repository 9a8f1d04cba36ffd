"""Papermill in, HTML out: the notebooks executed on one data set, rendered, with an index page.

    parameters   a parameters cell, read without a kernel; text → typed values
    allowed      which values one may have: the bracket of its comment
    parameter_file  values from YAML, each with its line
    parameter_help  all parameters, told for a terminal
    notebooks    which notebooks there are, and what each one needs
    chapters     the words of the trade: plan, chapter, failure, report
    planning     which of them run on this data set, with which values
    rungs        which rungs each one trains
    kernel       the project's own interpreter, whatever kernels the user has registered
    tethered     its start: it ends with the process that started it
    attempt      one notebook through papermill, watched: time limit, stop
    stopping     a request to end, from any thread
    memory       what the operating system says of it
    endings      why a notebook ended early, from what is known
    marks        what an executed notebook says of itself: statuses, banner
    execution    one notebook, executed and written down
    rendering    one executed notebook → one HTML page that asks for nothing outside
    pages        what surrounds it; where its neighbours are
    summary      results.json: the ladder, the data, the conditions
    index        the index page
    front        both, written where they would tell something new
    digests      what a report depends on, in short: data, package, software
    stamps       out of what a notebook was executed: whether it stands
    reasons      what has changed where it does not
    standing     the report's folder: its lock, and what the last call left
    ground       the data set and the conditions; TensorFlow only where needed
    scheduling   which notebook runs when, some side by side
    making       one chapter: it stands, cannot run, or is run
    limits       of time and threads
    interrupting Ctrl-C and SIGTERM
    building     all of it, in order
    dry_run      what it would do, without doing it
    prospects    how a terminal is told of that
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
