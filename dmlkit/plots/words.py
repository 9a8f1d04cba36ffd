"""Sentences whose numbers were computed, so that the prose around them stays true whatever came out."""

from __future__ import annotations

import html

import numpy as np

from dmlkit.metrics import paired_gap_difference
from dmlkit.plots.given import as_runs
from dmlkit.text import one_line, shorten

RESAMPLES = 500

# What people call the ways of `evaluation.COMBINERS`.
WAY_TITLES = {
    "algorithm_2": "Algorithm 2 (the paper's)",
    "uniform": "Plain mean",
    "majority": "Majority vote",
    "rank_mean": "Mean of reciprocal ranks",
    "optimized": "Weights found",
    "stacking": "Stacking",
}


class Sentence(str):
    """Text that a notebook shows as a paragraph, on one line."""

    def __new__(cls, text: str) -> Sentence:
        """Control characters become blanks."""
        return super().__new__(cls, one_line(text))

    def _repr_html_(self) -> str:
        return f'<p class="dmlkit-sentence">{html.escape(self)}</p>'

    def _repr_pretty_(self, printer, cycle) -> None:
        printer.text(str(self))


def data_note(dataset, profile=None) -> Sentence:
    """What data this is, whether they are generated, and how much of them is used.

    Args:
        dataset: The data set.
        profile: A `Profile`, to say what it caps.
    """
    *features, last = [
        f"{name} ({feature.size} numbers)"
        if feature.in_frames
        else f"{name} (words, hashed to {feature.size} places)"
        for name, feature in dataset.features.items()
    ]
    features = f"{', '.join(features)} and {last}" if features else last
    parts = ", ".join(
        f"{dataset.num_videos(part):,} {'to ' if part in ('train', 'validate') else 'for '}{part}"
        for part in ("train", "tuning", "validate")
        if part in dataset.splits
    )
    level = f"{dataset.level} level"
    called = shorten(dataset.name, 120)
    name = called if level in called else f"{called}, {level}"
    what = f"{name}: {features}; {dataset.num_classes:,} classes; videos: {parts}."
    if dataset.generated:
        what = (
            "GENERATED DATA, not real videos: made by `dmlkit data synthesize` so that it is known what each class "
            f"needs to be seen. No number below says anything about real videos. {what}"
        )
    return Sentence(" ".join([what, *_caps(dataset, profile), *dataset.notes]))


def _caps(dataset, profile) -> list[str]:
    if profile is None:
        return []
    said = []
    for part, cap in profile.caps.items():
        if cap is not None and part in dataset.splits and dataset.num_videos(part) > cap:
            said.append(f"Of the {part} part {cap:,} videos are used.")
    if dataset.level == "frame" and profile.max_frames:
        said.append(f"At most {profile.max_frames} frames of a video are read ({profile.frame_choice}).")
    return [f"Profile {profile.name}: {' '.join(said)}"] if said else []


def say_conditions(profile) -> Sentence:
    """The one setting under which every rung is trained.

    Args:
        profile: A `Profile`.
    """
    normalization = (
        "no normalisation" if profile.normalization == "none" else f"{profile.normalization} normalisation"
    )
    layers = "1 layer" if profile.layers == 1 else f"{profile.layers} layers"
    dropout = f"dropout {profile.dropout:g}, " if profile.dropout else ""
    return Sentence(
        f"The same for every rung, profile {profile.name}: {normalization} of the input, {layers} of "
        f"{profile.units} units, {dropout}Adam at {profile.learning_rate:g} with batches of "
        f"{profile.batch_size}, at most {profile.epochs} passes over the training part; training ends "
        f"after {profile.patience} passes without a better GAP on the tuning part, and the best of them is kept. "
        "The validation part is scored once."
    )


def say_difference(first, second) -> Sentence:
    """By how much one run differs from another on the same videos, with the paired interval.

    Args:
        first, second: Runs; None where a data set cannot serve one.
    """
    if first is None or second is None:
        return Sentence("There is nothing to compare here: one of the two does not apply to this data set.")
    same = _same_videos(first.predictions, second.predictions)
    if same is None:
        return Sentence(
            f"{first.title} and {second.title} were scored on different videos and cannot be compared."
        )
    a, b, labels = same
    difference, (low, high) = paired_gap_difference(a, b, labels, resamples=RESAMPLES)
    if low > 0 or high < 0:
        meaning = "which is more than another draw of these videos would explain"
    else:
        meaning = "which another draw of these videos could have turned round"
    return Sentence(
        f"{first.title} reaches GAP@20 {first.gap:.4f}, {second.title} {second.gap:.4f}: a difference of "
        f"{difference:+.4f} (95 % interval, paired over {len(labels):,} videos: {low:+.4f} to {high:+.4f}), {meaning}. "
        "The interval does not know how another seed would have trained."
    )


def say_best(runs) -> Sentence:
    """Which run reached the highest GAP@20, and how far the next one lies behind.

    Args:
        runs: Name → run, or runs.
    """
    ranked = sorted(as_runs(runs), key=lambda run: run.gap, reverse=True)
    if not ranked:
        return Sentence("No rung has been trained here yet.")
    if len(ranked) == 1:
        return Sentence(f"There is one run so far: {ranked[0].title}, with a GAP@20 of {ranked[0].gap:.4f}.")
    return Sentence(f"The highest here is {ranked[0].title}. {say_difference(ranked[0], ranked[1])}")


def say_ensemble(run, members) -> Sentence:
    """What an ensemble gains over the best of its members.

    Args:
        run: The ensemble's run, or None.
        members: Its members' runs; others among them are left out.
    """
    names = {member["name"] for member in run.record["members"]} if run else set()
    members = [member for member in as_runs(members) if member.name in names]
    if run is None or not members:
        return Sentence(
            "There is no ensemble here: it was not trained, or its members do not apply to this data set."
        )
    best = max(members, key=lambda member: member.gap)
    weights = ", ".join(f"{member['name']} {member['weight']:.3f}" for member in run.record["members"])
    return Sentence(f"Weights out of the tuning part: {weights}. {say_difference(run, best)}")


def way_title(name: str) -> str:
    """What people call a way to combine; any other text is told as it is, its first letter a capital."""
    return WAY_TITLES.get(name, name[:1].upper() + name[1:])


def _same_videos(first, second) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Both runs' scores for the same videos in one order, and the labels; None where the videos differ."""
    turned = second.in_order_of(first.ids)
    if turned is None or turned.scores.shape != first.scores.shape or first.labels is None:
        return None
    return first.scores, turned.scores, first.labels


def class_name(dataset, index: int, longest: int = 30) -> str:
    """A class's name in one short line."""
    names = dataset.class_names
    return (shorten(names[index], longest) if index < len(names) else "") or f"class {index}"


def named_kind(dataset, index: int, longest: int = 30) -> str:
    """A class's name, and its kind in brackets where there are kinds and the name does not say it."""
    name = class_name(dataset, index, longest)
    kind = dataset.class_kinds[index] if dataset.class_kinds else None
    return name if kind is None or name.startswith(kind) else f"{name} ({shorten(kind, 20)})"
