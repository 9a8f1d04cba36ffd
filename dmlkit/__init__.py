"""dmlkit: the ladder of *Deep Multimodal Learning: An Effective Method for Video Classification*, in notebooks.

A *data set* gives *batches*; a *model* turns a batch into *scores*; a *run* is what one training leaves on disk; the
*notebooks* compare runs in the paper's order; a *report* is those notebooks, executed.

    dmlkit.data         shards in, batches out; the generated data set; checks, downloads and imports
    dmlkit.models       fusions, encoders, poolings, classifiers, on keras.ops alone
    dmlkit.metrics      GAP@20, mAP, Hit@1, PERR, bootstrap intervals, ensembles, on numpy
    dmlkit.experiments  the paper's ladder as values, ablations, recipes
    dmlkit.profiles     the training settings under which experiments are compared
    dmlkit.plugins      parts of models and experiments that users add
    dmlkit.extraction   video and audio files into features
    dmlkit.training     train, evaluate, predict, combine; the study
    dmlkit.runs         what a training leaves on disk
    dmlkit.submission   predictions as YouTube-8M's CSV files; `segment_submission` those of segments
    dmlkit.comparison   two runs, or several seeds of two, on the same videos
    dmlkit.plots        the figures of the notebooks
    dmlkit.explorer     widgets for JupyterLab: attention over frames, runs side by side
    dmlkit.report       notebooks executed and rendered

The names below are loaded when first used, so that `import dmlkit` and its metrics load no TensorFlow.
"""

from dmlkit.runtime import import_lazily, import_with_keras

# `keras.models.load_model` finds the layers of a run's model once they are registered.
import_with_keras("dmlkit.models")

__getattr__, __dir__, __all__ = import_lazily(
    __name__,
    {
        "comparison": ["comparison", "compare"],
        "data": ["data", "open_dataset", "synthesize"],
        "errors": ["DataError", "UsageError"],
        "experiments": ["experiments", "EXPERIMENTS", "LADDER", "Ensemble", "Experiment"],
        "extraction": ["extraction"],
        "explorer": ["explorer", "explore", "explore_arrays"],
        "metrics": [
            "metrics",
            "GlobalAveragePrecision",
            "gap_interval",
            "gap_weights",
            "global_average_precision",
            "mean_average_precision",
            "weighted_average",
        ],
        "models": ["models", "attention_weights", "load_model"],
        "plots": ["plots"],
        "profiles": ["profiles", "PROFILES", "Profile"],
        "report": ["report"],
        "runs": ["runs", "load_run", "load_runs"],
        "segment_submission": ["segment_submission"],
        "submission": ["submission"],
        "training": [
            "training",
            "Study",
            "build_model",
            "ensemble",
            "evaluate",
            "export",
            "predict",
            "train",
        ],
    },
)
