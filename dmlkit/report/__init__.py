"""Papermill in, HTML out: the notebooks executed on one data set, rendered, with an index page.

    parameters   of the notebooks: read, validated by pydantic, listed
    plan         which notebooks run, in which order, with which values, training what; the dry run
    cache        what changed since the last call, as digests
    build        the report: order, parallel execution, progress, exit codes
    execute      one notebook through papermill, and how it ended
    pages        one executed notebook → one page; the index page; results.json

A report is a folder: `index.html`, `NN-*.html`, `results.json`, `notebooks/` (executed) and `runs/`.
"""

from dmlkit.runtime import import_lazily

__getattr__, __dir__, __all__ = import_lazily(
    __name__,
    {
        "build": ["Chapter", "Report", "build_report"],
        "execute": ["strip_timestamps"],
        "plan": ["describe_plan", "find_notebooks", "notebooks_folder"],
    },
)
