"""Training: an experiment and data in, a run on disk out."""

from dmlkit.training.ensembling import ensemble
from dmlkit.training.evaluating import evaluate
from dmlkit.training.loop import build_model, predict, train
from dmlkit.training.walk import Walk

__all__ = ["Walk", "build_model", "ensemble", "evaluate", "predict", "train"]
