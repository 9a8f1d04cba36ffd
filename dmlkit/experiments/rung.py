"""What a rung is: a model to train, an ensemble of runs, or a row that nothing trains yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """A model to train, as plain values.

    Sizes, input normalisation, optimiser and budget belong to the profile, one setting for all rungs;
    what is not None here is set apart from it on purpose.

    Args:
        name: Short name: the run's folder, the command line.
        title: Name for people.
        chapter: The notebook that trains it.
        fusion, fusion_stage, encoder, pooling, classifier, gate_pooled, gate_scores: Names in the tables of
            `dmlkit.models`.
        alignment_weight: λ of the projection's alignment_weight loss.
        mapping_initializer: What the fusion's mapping matrices start from.
        heads, clusters, pooled_units, copies: See `dmlkit.models.build`.
        units, layers, normalization: Instead of the profile's.
        recipe: The name of a profile of its own (`dmlkit.profiles.RECIPES`), for where none is asked for.
        trick: What it changes in the profile it is trained under, a name in `dmlkit.experiments.TRICKS`.
        teachers: The names of rungs that are trained first, and whose mean scores it follows beside the labels.
        paper_gap: GAP@20 the paper reports for it, on the paper's data.

    Paper: §Our Method; Table 1.
    """

    name: str
    title: str
    chapter: str
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

    def without_normalization(self) -> Experiment:
        """The paper's bare form: the dequantised features as they are, without input normalisation."""
        return replace(
            self,
            name=f"{self.name}-no-norm",
            title=f"{self.title}, without input normalization",
            normalization="none",
            paper_gap=None,
        )

    def to_record(self) -> dict:
        """Plain values for `run.json`."""
        return asdict(self) | {"teachers": list(self.teachers)}

    @classmethod
    def from_record(cls, record: Mapping) -> Experiment:
        """The experiment that `to_record` wrote; fields this version does not know are an error."""
        return cls(**{**record, "teachers": tuple(record.get("teachers", ()))})


MEMBER_RUNS = {
    "best": "the epoch of the highest GAP on the tuning part, which is the run itself",
    "checkpoints": "the moments that its profile keeps (`Profile.checkpoints`)",
}


@dataclass(frozen=True, kw_only=True)
class Ensemble:
    """A rung that is made of runs: their scores, combined in one of the ways of `evaluation.COMBINERS`.

    Args:
        name, title, chapter, paper_gap: As for `Experiment`.
        members: Names of rungs, which may be ensembles themselves.
        by: The way.
        seeds: Each member is trained under each of these, counted from the seed that is asked for.
        member_runs: Of each member's training what `MEMBER_RUNS` says.

    Paper: §Ensemble, Algorithm 2 (weighted by the GAP on the tuning part), which is the default.
    """

    name: str
    title: str
    members: tuple[str, ...]
    by: str = "algorithm_2"
    seeds: tuple[int, ...] = (0,)
    member_runs: str = "best"
    chapter: str = "ensemble"
    paper_gap: float | None = None

    def to_record(self) -> dict:
        """Plain values for `run.json`."""
        return asdict(self) | {"members": list(self.members), "seeds": list(self.seeds)}


@dataclass(frozen=True, kw_only=True)
class Missing:
    """A row of the paper's table that nothing here trains yet, and what is missing for it."""

    name: str
    title: str
    reason: str
    chapter: str = "results"
    paper_gap: float | None = None


AnyExperiment = Experiment | Ensemble | Missing


def by_name(*rungs: AnyExperiment) -> dict[str, AnyExperiment]:
    """A table of rungs in their order."""
    return {rung.name: rung for rung in rungs}
