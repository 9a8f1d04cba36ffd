"""Experiments as values: the paper's ladder, other readings of it, later systems, recipes, and tricks.

Each is one sentence *modalities → fusion → encoder → pooling → classifier*.

A recipe is a model and its own training conditions together (`Experiment.recipe`), those of the best scores here. A
trick is one change to how the base experiment of a level is trained: it changes fields of the profile, whichever it is,
and nothing of the model, which is scored as its base is. The values are usual ones and were not tuned.

Differs from the paper: it trains on whole videos and their plain labels. Random frames are its §Future work; the other
tricks are from Zou et al. 2017 and later solutions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, asdict, dataclass, field, replace
from functools import partial

from dmlkit.errors import UsageError, brief, choose, nearest
from dmlkit.plugins import load_plugins, make_extensible


@dataclass(frozen=True)
class Experiment:
    """A model to train.

    Sizes, input normalization, optimizer and budget belong to the profile, one setting for all experiments; a value
    here that is not None overrides it on purpose.

    Args:
        name: Short name: the run's folder, the command line.
        title: Name for tables and figures.
        chapter: The notebook that trains it.
        fusion, fusion_stage, encoder, pooling, classifier, gate_pooled, gate_scores: Names in the tables of
            `dmlkit.models`.
        alignment_weight: λ of the projection's L2 alignment loss.
        mapping_initializer: Initializer of the fusion's mapping matrices.
        heads, clusters, pooled_units, copies: See `dmlkit.models.build`.
        units, layers, normalization: Instead of the profile's.
        recipe: The name of a profile of its own (`dmlkit.profiles.RECIPES`), used where none is asked for.
        trick: What it changes in the profile it is trained under, a name in `dmlkit.experiments.TRICKS`.
        teachers: The names of experiments that are trained first, and whose mean scores it learns from in addition
            to the labels.
        paper_gap: GAP@20 the paper reports for it, on the paper's data.

    Paper: §Our Method; Table 1.
    """

    name: str
    title: str
    chapter: str
    _: KW_ONLY
    fusion: str = "concat"
    fusion_stage: str = "early"
    encoder: str = "none"
    pooling: str = "last"
    classifier: str = "logistic"
    alignment_weight: float = 1.0
    mapping_initializer: str = "normal"
    gate_pooled: str = "none"
    gate_scores: str = "none"
    heads: int = 4
    clusters: int = 32
    pooled_units: int | None = None
    copies: int = 1
    units: int | None = None
    layers: int | None = None
    normalization: str | None = None
    recipe: str | None = None
    trick: str | None = None
    teachers: tuple[str, ...] = ()
    paper_gap: float | None = None

    __repr__ = brief

    def variant(self, name: str, title: str, **changes) -> Experiment:
        """The same with some fields changed, its name and title extended."""
        names = {"name": f"{self.name}-{name}", "title": f"{self.title}, {title}", "paper_gap": None}
        return replace(self, **names, **changes)

    def to_record(self) -> dict:
        """Plain values for `run.json`."""
        return asdict(self) | {"teachers": list(self.teachers)}

    @classmethod
    def from_record(cls, record: Mapping) -> Experiment:
        """The experiment that `to_record` wrote; unknown fields are an error."""
        return cls(**{**record, "teachers": tuple(record.get("teachers", ()))})


ALGORITHM_2 = "algorithm_2"
"""The paper's combiner: the mean weighted by the GAP on the tuning split."""

MEMBER_RUNS = {
    "best": "the epoch of the highest GAP on the tuning split, which is the run itself",
    "checkpoints": "the epochs that its profile keeps (`Profile.checkpoints`)",
}


@dataclass(frozen=True)
class Ensemble:
    """Runs whose scores are combined by one of `metrics.COMBINERS`.

    Args:
        name, title, chapter, paper_gap: As for `Experiment`.
        members: Names of experiments, which may be ensembles themselves.
        by: The combiner.
        seeds: Each member is trained under each of these, counted from the seed that is asked for.
        member_runs: Which runs of each member's training are combined, a name in `MEMBER_RUNS`.

    Paper: §Ensemble, Algorithm 2 (weighted by the GAP on the tuning split), which is the default.
    """

    name: str
    title: str
    members: tuple[str, ...]
    _: KW_ONLY
    by: str = ALGORITHM_2
    seeds: tuple[int, ...] = (0,)
    member_runs: str = "best"
    chapter: str = "ensemble"
    paper_gap: float | None = None

    __repr__ = brief

    def to_record(self) -> dict:
        """Plain values for `run.json`."""
        return asdict(self) | {"members": list(self.members), "seeds": list(self.seeds)}


AnyExperiment = Experiment | Ensemble


def by_name(*experiments: AnyExperiment) -> dict[str, AnyExperiment]:
    """A table of experiments in their order."""
    return {experiment.name: experiment for experiment in experiments}


# --- The paper's ladder, on frames and where a video is one vector ---

# fmt: off
LADDER: dict[str, AnyExperiment] = by_name(
    Experiment("lr", "Logistic regression", "baselines", pooling="mean", paper_gap=0.70727),
    Experiment("lstm", "LSTM", "baselines", encoder="lstm", paper_gap=0.79903),
    Experiment("bi-lstm", "Bi-LSTM", "bi-lstm", encoder="bi_lstm", paper_gap=0.80597),
    Experiment("bi-gru-concat", "Bi-GRU, concat", "bi-gru", encoder="bi_gru", paper_gap=0.84022),
    Experiment(
        "bi-gru-shared-space", "Bi-GRU, shared space", "fusion", encoder="bi_gru", fusion="shared_space",
        paper_gap=0.01106
    ),
    Experiment(
        "bi-gru-projection", "Bi-GRU, projection", "fusion", encoder="bi_gru", fusion="projection", paper_gap=0.01684
    ),
    Experiment(
        "attention", "Bi-GRU, attention", "attention", encoder="bi_gru", pooling="attention", paper_gap=0.81415
    ),
    Ensemble("ensemble-lr-lstm", "Ensemble, LR + LSTM", ("lr", "lstm"), paper_gap=0.81891),
    # The paper's row is the competition's winner: a weighted ensemble of 25 models around this one (Miech et al. 2017).
    Experiment(
        "netvlad-gated", "NetVLAD, gated", "beyond", pooling="netvlad", pooled_units=256, gate_pooled="context",
        classifier="mixture_of_experts", gate_scores="context", paper_gap=0.84967
    ),
)

# One vector a video has no sequence to encode and nothing to pool; a hidden layer takes their place. The few units of
# a profile's recurrent encoder would be a bottleneck for thousands of classes, and a dense layer is cheap.
_HIDDEN = {"chapter": "fusion", "encoder": "dense", "layers": 1, "units": 512}

VIDEO_LADDER: dict[str, AnyExperiment] = by_name(
    LADDER["lr"],
    Experiment("mixture-of-experts", "Mixture of experts", "baselines", classifier="mixture_of_experts"),
    Experiment("hidden-concat", "Hidden layer, concat", **_HIDDEN),
    Experiment("hidden-shared-space", "Hidden layer, shared space", fusion="shared_space", **_HIDDEN),
    Experiment("hidden-projection", "Hidden layer, projection", fusion="projection", **_HIDDEN),
    Ensemble(
        "ensemble-video", "Ensemble of the five",
        ("lr", "mixture-of-experts", "hidden-concat", "hidden-shared-space", "hidden-projection")
    ),
)
# fmt: on


def ladder_for(level: str) -> dict[str, AnyExperiment]:
    """The ladder for data of a level: `"frame"` or `"video"`."""
    return choose({"frame": LADDER, "video": VIDEO_LADDER}, level, what="level")


# --- Other readings of the paper ---

# fmt: off
ABLATIONS: dict[str, AnyExperiment] = by_name(
    # As in the paper: the dequantized features as they are.
    *(
        each.variant("no-norm", "without input normalization", normalization="none")
        for each in list(LADDER.values())[:7]
    ),
    Experiment("rnn", "Plain RNN", "baselines", encoder="rnn"),
    Experiment("lstm-peephole", "LSTM with peepholes", "baselines", encoder="peephole_lstm"),
    Experiment("lstm-mean", "LSTM, mean of the states", "baselines", encoder="lstm", pooling="mean"),
    Experiment(
        "lstm-experts", "LSTM, mixture of experts", "baselines", encoder="lstm", classifier="mixture_of_experts"
    ),
    Experiment("bi-lstm-separate", "Bi-LSTM, two stacks", "bi-lstm", encoder="bi_lstm_separate"),
    Experiment("bi-gru-exact", "Bi-GRU, the paper's cell", "bi-gru", encoder="paper_gru"),
    Experiment("bi-gru-late", "Bi-GRU, late fusion", "fusion", encoder="bi_gru", fusion_stage="late"),
    Experiment("attention-bi-lstm", "Bi-LSTM, attention", "attention", encoder="bi_lstm", pooling="attention"),
)
# fmt: on
"""Other readings of the paper: without input normalization, its exact cells, fusion at another stage."""

# --- Later systems, and recipes ---

# The poolings of Miech et al. over the frames as they are, gated as theirs, under a mixture of experts.
_GATED = {
    "classifier": "mixture_of_experts", "pooled_units": 256, "gate_pooled": "context", "gate_scores": "context"
}  # fmt: skip
_later = partial(Experiment, chapter="beyond")

# fmt: off
RECIPES: dict[str, AnyExperiment] = by_name(
    _later("yt8m-best", "Wide hidden layer", encoder="hidden", recipe="yt8m-best"),
    _later("yt8m-kernel", "Kernel ridge regression", encoder="kernel", recipe="yt8m-kernel"),
    Ensemble(
        "yt8m-starts", "Wide hidden layer, mean of four seeds", ("yt8m-best",), seeds=(0, 1, 2, 3), by="uniform",
        chapter="beyond"
    ),
    Ensemble(
        "yt8m-ensemble", "Hidden layers of four seeds and kernel", ("yt8m-starts", "yt8m-kernel"), by="stacking",
        chapter="beyond"
    ),
    _later(
        "audioset-best", "Wide hidden layer, class-wise attention, two copies", encoder="hidden",
        classifier="class_attention", copies=2, recipe="audioset-best"
    ),
    _later("audioset-kernel", "Kernel ridge regression on mean frames", encoder="kernel", recipe="audioset-kernel"),
    Ensemble(
        "audioset-ensemble", "Class-wise attention and kernel", ("audioset-best", "audioset-kernel"), by="optimized",
        chapter="beyond"
    ),
)

# With λ = 1 both modalities can only express what they share; with a hundredth of it they need not.
FUSIONS: dict[str, Experiment] = by_name(
    LADDER["bi-gru-projection"].variant(
        "loose", "weakly aligned", chapter="beyond", alignment_weight=0.01, mapping_initializer="glorot"
    )
)

POOLINGS: dict[str, Experiment] = by_name(
    _later("netvlad", "NetVLAD", pooling="netvlad", pooled_units=256),
    LADDER["netvlad-gated"],
    _later("netrvlad-gated", "NetRVLAD, gated", pooling="netrvlad", **_GATED),
    _later("netfv-gated", "NetFV, gated", pooling="netfv", **_GATED),
    _later("soft-bag-gated", "Soft bag of frames, gated", pooling="soft_bag", **_GATED),
    _later("deep-bag", "Deep bag of frames", pooling="deep_bag", clusters=256),
    _later("feature-attention", "Bi-GRU, attention by feature", encoder="bi_gru", pooling="feature_attention"),
    _later(
        "multi-head-attention", "Bi-GRU, attention by four heads", encoder="bi_gru", pooling="multi_head_attention"
    ),
)

_RESIDUAL = "seven layers with short-cuts over temporal ResNet blocks"
ENCODERS: dict[str, Experiment] = by_name(
    _later("sru", "Bidirectional SRU", encoder="sru"),
    _later("deep-bi-lstm", f"Bi-LSTM, {_RESIDUAL}", encoder="deep_bi_lstm", layers=7),
    _later("deep-bi-gru", f"Bi-GRU, {_RESIDUAL}", encoder="deep_bi_gru", layers=7),
    _later(
        "temporal-convolutions", "Dilated convolutions over time", encoder="temporal_convolutions",
        pooling="attention"
    ),
    _later("transformer", "Transformer", encoder="transformer", pooling="attention"),
)

CLASSIFIERS: dict[str, Experiment] = by_name(
    _later(
        "experts-gated", "Mixture of experts, gated", pooling="mean", classifier="mixture_of_experts",
        gate_scores="context"
    ),
    _later("chaining", "Mixture of experts, chained twice", pooling="mean", classifier="chaining"),
    _later("class-attention", "Hidden layers, class-wise attention", encoder="hidden", classifier="class_attention"),
)
# fmt: on

BEYOND: dict[str, AnyExperiment] = RECIPES | FUSIONS | POOLINGS | ENCODERS | CLASSIFIERS

# --- Tricks, and the checkpoints of one training ---


@dataclass(frozen=True)
class Trick:
    """One change to how a model is trained: of fields of `Profile`, or of the experiments it is distilled from."""

    title: str  # appended to the base's title
    changes: Mapping[str, object] = field(default_factory=dict)
    teachers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # level of the data → experiments
    levels: tuple[str, ...] = ("frame", "video")  # of data for which it makes a difference


TRICKS: dict[str, Trick] = {
    # Half, so that it means the same for 20 frames as for 300; the sampled frames keep their order in time.
    "random-frames": Trick(
        "half of the frames, resampled each epoch", changes={"frame_share": 0.5}, levels=("frame",)
    ),
    "modality-dropout": Trick("modality dropout", changes={"modality_dropout": 0.2}),
    "label-smoothing": Trick("label smoothing", changes={"label_smoothing": 0.1}),
    "mixup": Trick("mixup", changes={"mixup": 0.4}),
    # About the last 100 steps: a small fraction of the shortest budget that is worth a score.
    "ema": Trick("moving average of the weights", changes={"ema": 0.99}),
    "cosine": Trick("cosine learning rate", changes={"schedule": "cosine"}),
    # Two cycles, so that even a budget of two epochs can be divided; no early stopping before the last cycle ends,
    # as `CHECKPOINTS` combines the models at the ends of all cycles.
    "cyclic": Trick(
        "cyclic learning rate",
        changes={"schedule": "cyclic", "cycles": 2, "checkpoints": 2, "patience": 1_000},
    ),
    "class-balance": Trick("class-balanced sampling", changes={"class_balance": 0.5}),
    # The base is among its teachers, so the student is no smaller than they are.
    "distilled": Trick(
        "distilled from three",
        teachers={
            "frame": ("bi-lstm", "bi-gru-concat", "attention"),
            "video": ("lr", "mixture-of-experts", "hidden-concat"),
        },
    ),
}

BASES: dict[str, Experiment] = {"frame": LADDER["attention"], "video": VIDEO_LADDER["hidden-concat"]}
"""Level of the data → the experiment that is trained with each trick."""

CHECKPOINTS: dict[str, Ensemble] = {
    level: Ensemble(
        f"{base.name}-checkpoints", f"{base.title}, checkpoints of one training", (f"{base.name}-cyclic",),
        member_runs="checkpoints", chapter="beyond",
    )
    for level, base in BASES.items()
}  # fmt: skip
"""Level of the data → the base's models at the ends of one training's cycles, combined (Huang et al., 2017)."""


def trick_ablations(level: str) -> dict[str, Experiment]:
    """Name → the base experiment of a level (`"frame"`, `"video"`) with one trick, in the order of `TRICKS`."""
    base = choose(BASES, level, what="level")
    return by_name(
        *(
            base.variant(
                name, trick.title, chapter="beyond", trick=name, teachers=trick.teachers.get(level, ())
            )
            for name, trick in TRICKS.items()
            if level in trick.levels
        )
    )


FULL_PROFILES = ("full", "paper")  # train all ablations
ALWAYS = ("lr-no-norm", "bi-gru-concat-no-norm", "attention-bi-lstm")  # trained under the others too


def ablations_for(chapter: str, profile) -> list[AnyExperiment]:
    """The ablations of a chapter: all of them under the profiles `full` and `paper`, else few or none."""
    return [
        each
        for each in ABLATIONS.values()
        if each.chapter == chapter and (profile.name in FULL_PROFILES or each.name in ALWAYS)
    ]


def fusion_variants(ladder: Mapping[str, AnyExperiment], profile) -> dict[str, Experiment]:
    """The mapped fusions of a ladder from Glorot's initializer, and the projection without alignment loss (λ = 0).

    Under the profiles `full` and `paper` also the projection with other λ.

    Paper: §Experiments (its low results of the mapped fusions, 0.011 and 0.017).
    """
    mapped = {each.fusion: each for each in ladder.values() if getattr(each, "fusion", "concat") != "concat"}
    weights = (0.0, 0.01, 0.1, 10.0, 100.0) if profile.name in FULL_PROFILES else (0.0,)
    return by_name(
        *(each.variant("glorot", "Glorot", mapping_initializer="glorot") for each in mapped.values()),
        *(
            mapped["projection"].variant(f"alignment-{weight:g}", f"λ = {weight:g}", alignment_weight=weight)
            for weight in weights
        ),
    )


# --- All of them ---

EXPERIMENTS: dict[str, AnyExperiment] = by_name(
    *(LADDER | VIDEO_LADDER | ABLATIONS | BEYOND).values(),
    *(trick_ablations("frame") | trick_ablations("video")).values(),
    *CHECKPOINTS.values(),
)

# Experiment → the experiment of which it changes one thing, or the nearest to that. A fusion is compared with the
# concatenation, a pooling of plain frames with their mean, a gated pooling with the gated NetVLAD. Where a baseline
# was not trained, the baseline's own baseline serves.
# fmt: off
BASELINES = {
    "lstm": "lr", "bi-lstm": "lstm", "bi-gru-concat": "bi-lstm", "bi-gru-shared-space": "bi-gru-concat",
    "bi-gru-projection": "bi-gru-concat", "attention": "bi-gru-concat", "netvlad-gated": "netvlad",
    "mixture-of-experts": "lr", "hidden-concat": "lr", "hidden-shared-space": "hidden-concat",
    "hidden-projection": "hidden-concat", "rnn": "lstm", "lstm-peephole": "lstm", "lstm-mean": "lstm",
    "lstm-experts": "lstm", "bi-lstm-separate": "bi-lstm", "bi-gru-exact": "bi-gru-concat",
    "bi-gru-late": "bi-gru-concat", "attention-bi-lstm": "bi-lstm", "bi-gru-projection-loose": "bi-gru-concat",
    "netvlad": "lr", "netrvlad-gated": "netvlad-gated", "netfv-gated": "netvlad-gated",
    "soft-bag-gated": "netvlad-gated", "deep-bag": "lr", "feature-attention": "attention",
    "multi-head-attention": "attention", "sru": "bi-gru-concat",
    "deep-bi-lstm": "bi-lstm", "deep-bi-gru": "bi-gru-concat", "temporal-convolutions": "attention",
    "transformer": "attention", "experts-gated": "mixture-of-experts", "chaining": "mixture-of-experts",
    "class-attention": "lr", "yt8m-best": "hidden-concat", "yt8m-kernel": "lr", "audioset-kernel": "lr",
    "audioset-best": "class-attention",
}
# fmt: on

GROUPS = ("fusions", "poolings", "encoders", "classifiers", "tricks", "recipes")
"""The groups of experiments beyond the ladder; nothing is compared with recipes, whose conditions are their own."""


def find(name: str | AnyExperiment) -> AnyExperiment:
    """The experiment of this name, or itself; a `UsageError` that names the nearest where there is none."""
    if isinstance(name, Experiment | Ensemble):
        return name
    if name in EXPERIMENTS:
        return EXPERIMENTS[name]
    hint = nearest(name, EXPERIMENTS, most=3)
    raise UsageError(f"Unknown experiment {name!r}.{hint} `dmlkit experiments` lists all {len(EXPERIMENTS)}.")


def not_applicable_reason(
    experiment: AnyExperiment, *, level: str, modalities: tuple[str, ...]
) -> str | None:
    """Why data of a level (`"frame"` or `"video"`) and modalities cannot serve an experiment, or None."""
    data = {"level": level, "modalities": modalities}
    if isinstance(experiment, Ensemble):
        reasons = (not_applicable_reason(find(name), **data) for name in experiment.members)
        return next(filter(None, reasons), None)
    for name in experiment.teachers:
        if reason := not_applicable_reason(find(name), **data):
            return f"its teacher {name} cannot be trained: {reason}"
    changes = TRICKS[experiment.trick].changes if experiment.trick else {}
    needs_frames = {
        "reads": experiment.encoder not in ("none", "dense", "hidden", "kernel"),
        "weighs": experiment.pooling not in ("last", "mean") or experiment.classifier == "class_attention",
        "samples": "frame_share" in changes,
    }
    needs_modalities = {
        "fuses": experiment.fusion != "concat" or experiment.fusion_stage == "late",
        "drops": "modality_dropout" in changes,
    }
    for verb, needed in needs_frames.items():
        if needed and level == "video":
            return f"it {verb} frames, and this data set holds one vector a video"
    for verb, needed in needs_modalities.items():
        if needed and len(modalities) < 2:
            return f"it {verb} modalities, and this data set has one only ({', '.join(modalities)})"
    return None


def beyond_for(level: str, *groups: str) -> dict[str, AnyExperiment]:
    """The experiments beyond the ladder for data of a level, applicable or not; of some `GROUPS`, or of all."""
    # Recipes are those made for the level: `audioset-kernel` could serve one vector a video too, but its settings are
    # for means of frames.
    of_level = "yt8m" if level == "video" else "audioset"
    tables = {
        "fusions": FUSIONS,
        "poolings": POOLINGS,
        "encoders": ENCODERS,
        "classifiers": CLASSIFIERS,
        "tricks": trick_ablations(level) | by_name(CHECKPOINTS[level]),
        "recipes": {name: each for name, each in RECIPES.items() if name.startswith(of_level)},
    }
    return {
        name: each
        for group in groups or GROUPS
        for name, each in choose(tables, group, what="group of experiments").items()
    }


def baselines_for(level: str, *, modalities: tuple[str, ...]) -> dict[str, AnyExperiment]:
    """The ladder's experiments that those beyond it are compared with, in the ladder's order."""
    ladder, beyond = ladder_for(level), beyond_for(level)
    wanted = set()
    for experiment in beyond.values():
        if not_applicable_reason(experiment, level=level, modalities=modalities) is None:
            name = baseline_of(experiment.name)
            while name and name not in {**ladder, **beyond}:
                name = baseline_of(name)
            wanted.add(name)
    return {name: each for name, each in ladder.items() if name in wanted and name not in beyond}


def baseline_of(name: str) -> str | None:
    """The experiment of which this one changes one thing; None for the first of a ladder and for unknown names."""
    experiment = EXPERIMENTS.get(name)
    if getattr(experiment, "member_runs", None) == "checkpoints":
        return experiment.members[0]  # the end of the same training
    if trick := getattr(experiment, "trick", None):
        return name.removesuffix(f"-{trick}")
    if name in BASELINES:
        return BASELINES[name]
    # A variant is named after its base: `lr-no-norm`, `bi-gru-projection-glorot`.
    return max((each for each in EXPERIMENTS if name.startswith(f"{each}-")), key=len, default=None)


make_extensible("experiment", EXPERIMENTS)
load_plugins()
