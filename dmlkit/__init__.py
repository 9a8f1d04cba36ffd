"""dmlkit: the ladder of *Deep Multimodal Learning for Video Classification*, in notebooks.

*Data* become *batches*; a *model* turns a batch into *scores*; a *run* is what one training left on disk;
the *notebooks* walk through runs in the paper's order; a *report* is those notebooks, executed.

    dmlkit.data         shards in, batches out; the generated data set
    dmlkit.models       fusions, encoders, poolings, classifiers, on keras.ops alone
    dmlkit.metrics   GAP@20, mAP, Hit@1, PERR, bootstrap intervals, ensembles, on numpy alone
    dmlkit.experiments  the ladder as values
    dmlkit.profiles     the conditions under which rungs are compared
    dmlkit.training     train, evaluate, combine; the study up the ladder
    dmlkit.runs         what a training leaves on disk
    dmlkit.submission   predictions as YouTube-8M's CSV files: written, checked, measured
    dmlkit.comparison   two runs, or several seeds of two, on the same videos
    dmlkit.paths       where data and reports lie when nobody says
    dmlkit.plots        the figures of the notebooks
    dmlkit.explorer     widgets for JupyterLab: attention over frames, runs side by side
    dmlkit.report       notebooks executed and rendered

The names below are loaded when first used, so that `import dmlkit` and its measures load no TensorFlow.
"""

from __future__ import annotations

import importlib

_HOMES = {
    "dmlkit.comparison": ("compare",),
    "dmlkit.data": ("open_dataset", "open_or_generate", "synthesize"),
    "dmlkit.errors": ("DataError", "UsageError"),
    "dmlkit.metrics": (
        "GlobalAveragePrecision",
        "gap_interval",
        "gap_weights",
        "global_average_precision",
        "mean_average_precision",
        "weighted_average",
    ),
    "dmlkit.experiments": ("EXPERIMENTS", "LADDER", "VIDEO_LADDER", "Ensemble", "Experiment"),
    "dmlkit.explorer": ("explore", "explore_arrays"),
    "dmlkit.models": ("attention_weights", "load_model"),
    "dmlkit.profiles": ("PROFILES", "Profile"),
    "dmlkit.runs": ("load_run", "load_runs"),
    "dmlkit.training": (
        "Study",
        "build_model",
        "compare_members",
        "compare_combiners",
        "ensemble",
        "evaluate",
        "predict",
        "submit",
        "train",
    ),
}
_ROOMS = (
    "comparison",
    "data",
    "experiments",
    "explorer",
    "metrics",
    "models",
    "plots",
    "profiles",
    "report",
    "runs",
    "submission",
    "training",
)
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [*sorted(_HOME_OF), *_ROOMS]


def __getattr__(name: str):
    if name in _HOME_OF:
        value = getattr(importlib.import_module(_HOME_OF[name]), name)
        globals()[name] = value
        return value
    if name in _ROOMS:
        return importlib.import_module(f"dmlkit.{name}")
    raise AttributeError(f"module 'dmlkit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
