"""Training: an experiment and data in, a run on disk out."""

# ruff: noqa: E402, I001
from dmlkit.quiet import start_up_lines_hidden

with start_up_lines_hidden():
    import keras  # noqa: F401

from dmlkit.training.ensembling import ensemble
from dmlkit.training.evaluating import evaluate
from dmlkit.training.loop import build_model, predict, train
from dmlkit.training.walk import Walk

__all__ = ["Walk", "build_model", "ensemble", "evaluate", "predict", "train"]
