"""Training: an experiment and data in, a run on disk out; runs scored, combined and studied.

trainer          one training: settings → data → model → fit → score → save
state            what identifies it; its checkpoint, its snapshots, the run it leaves
segments         the pairs of segment and class that count; segments scored within their whole videos
objectives       learning rates, augmentations, soft labels; kernel ridge regression
distributed      one device, several GPUs, several machines
exporting        a run as a model for other programs
prediction       scores of a split by a model, a run or several runs
ensembles        runs combined from their stored scores
study            many experiments on one data set, tables of their results, analyses of their runs

The names below are imported at first use: only what trains or scores loads TensorFlow.
"""

from dmlkit.runtime import import_lazily

__getattr__, __dir__, __all__ = import_lazily(
    __name__,
    {
        "ensembles": [
            "compare_combiners",
            "compare_members",
            "ensemble",
            "ensemble_members",
            "leave_one_out",
        ],
        "exporting": ["export"],
        "prediction": ["evaluate", "predict", "score_segments", "score_split", "submit"],
        "study": [
            "Study",
            "all_results",
            "best_ensemble_members",
            "frame_study",
            "fusion_study",
            "localization_study",
            "mapping_resampling",
            "train_ensemble",
            "train_on_segments",
        ],
        "trainer": ["build_model", "train"],
    },
)
