"""`compare`: two sides, checked to be of the same videos, measured against each other."""

from __future__ import annotations

from collections.abc import Sequence

from dmlkit.comparison.result import ClassChange, Comparison, Side
from dmlkit.comparison.same import Measured, check_same_data, measure_in_order
from dmlkit.comparison.sides import Named, open_side, settings_of
from dmlkit.errors import UsageError
from dmlkit.metrics import Interval, compare_classes, compare_gaps
from dmlkit.runs import Run
from dmlkit.text import shorten


def compare(
    a: Named | Sequence[Named],
    b: Named | Sequence[Named],
    *,
    dataset=None,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
    least: int = 5,
) -> Comparison:
    """How much better one experiment is than another on the same videos, over several seeds where there are.

    Args:
        a, b: A run, the folder of one, a folder that holds several runs of one experiment with different seeds,
            or a list of these.
        dataset: The data set, to call classes by their names.
        level: The share of resamples inside the interval.
        resamples: How many times as many videos are drawn, with replacement.
        seed: Of the draws.
        least: Classes of fewer videos are not compared: their average precision is chance.

    Returns:
        A `Comparison`: shown as text in a terminal, as a page in a notebook; `to_record()` gives plain values.

    Raises:
        UsageError: A side has no run, mixes experiments or profiles or holds a seed twice; the runs are of
            different data, videos or labels; `dataset` is another.
        DataError: A run's record or scores are damaged.

    Differs from the paper: it trains every model once and states no intervals.
    """
    opened = open_side(a, side="A"), open_side(b, side="B")
    of_a, of_b = (side.runs for side in opened)
    check_same_data([*of_a, *of_b])
    data = of_a[0].record["data"]
    if dataset is not None and dataset.fingerprint != data["fingerprint"]:
        raise UsageError(
            f"The runs are of {shorten(data['name'], 60)} (fingerprint {shorten(data['fingerprint'][:16])}), and "
            f"{shorten(dataset.name, 60)} (fingerprint {dataset.fingerprint[:16]}) is other data: its class names "
            "are not theirs."
        )
    measured, videos = measure_in_order([*of_a, *of_b])
    in_a, in_b = measured[: len(of_a)], measured[len(of_a) :]
    gaps = compare_gaps(
        [each.pairs for each in in_a],
        [each.pairs for each in in_b],
        level=level,
        resamples=resamples,
        seed=seed,
    )
    by_class = compare_classes(
        [each.precision for each in in_a], [each.precision for each in in_b], videos, least=least
    )
    names = None if dataset is None else dataset.class_names
    return Comparison(
        a=_side(of_a, gaps.a),
        b=_side(of_b, gaps.b),
        data=data["name"],
        generated=data["generated"],
        fingerprint=data["fingerprint"],
        videos=len(in_a[0].pairs.true_labels),
        difference=gaps.difference,
        interval=Interval(*gaps.interval),
        a_ahead=gaps.a_ahead,
        level=level,
        resamples=resamples,
        seed=seed,
        least=least,
        classes=tuple(
            ClassChange(
                number=int(number),
                name=f"class {number}" if names is None else str(names[number]),
                videos=int(count),
                a=float(ap_a),
                b=float(ap_b),
                difference=float(difference),
            )
            for number, count, ap_a, ap_b, difference in zip(*by_class, strict=True)
        ),
        notes=(*opened[0].notes, *opened[1].notes, *_notes(of_a, of_b, measured)),
    )


def _side(runs: list[Run], gaps) -> Side:
    return Side(
        name=runs[0].name,
        title=runs[0].title,
        profile=runs[0].record["profile"]["name"],
        seeds=tuple(run.record["seed"] for run in runs),
        paths=tuple(str(run.path) for run in runs),
        gaps=gaps,
    )


def _notes(a: list[Run], b: list[Run], measured: list[Measured]) -> list[str]:
    """What a reader must know to read the difference rightly."""
    notes = []
    of_a, of_b = settings_of(a[0]), settings_of(b[0])
    conditions = [key for key in {**of_a, **of_b} if key.startswith("profile.") or key == "precision"]
    differing = [key for key in conditions if of_a.get(key) != of_b.get(key)]
    if differing:
        said = ", ".join(
            f"{key.removeprefix('profile.')} {shorten(of_a.get(key))} and {shorten(of_b.get(key))}"
            for key in differing[:6]
        )
        more = f" and {len(differing) - 6} more" if len(differing) > 6 else ""
        notes.append(
            f"A and B were trained under different conditions ({said}{more}): the difference is of these too."
        )
    if shared := {run.path.resolve() for run in a} & {run.path.resolve() for run in b}:
        notes.append(f"A run stands on both sides: {shorten(sorted(shared)[0], 200)}.")
    if kept := [each.kept for each in measured if each.kept is not None]:
        notes.append(
            f"Of some runs only each video's {min(kept):,} highest scores were kept: average precision by class is "
            "of those, and the rest counts as 0."
        )
    return notes
