"""What an experiment is: a model to train, or an ensemble of runs, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, asdict, dataclass, replace

from dmlkit.errors import brief


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
