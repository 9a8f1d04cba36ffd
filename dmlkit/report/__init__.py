"""Papermill in, HTML out: the notebooks executed on one data set, rendered, with an index page.

    parameters   of the notebooks: read, validated by pydantic, listed
    plan         which notebooks run, in which order, with which values, training what; the dry run
    cache        what changed since the last call, as digests
    build        the report: order, side by side, progress, exit codes
    execute      one notebook through papermill, and how it ended
    pages        one executed notebook → one page; the index page; results.json

A report is a folder: `index.html`, `NN-*.html`, `results.json`, `notebooks/` (executed) and `runs/`.
"""

from __future__ import annotations

import importlib

_HOMES = {
    "Chapter": "build",
    "Report": "build",
    "build_report": "build",
    "describe_plan": "plan",
    "find_notebooks": "plan",
    "notebooks_folder": "plan",
    "strip_timestamps": "execute",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
