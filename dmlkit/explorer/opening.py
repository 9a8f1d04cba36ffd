"""`explore` and `explore_arrays`: a view in one line."""

from __future__ import annotations

from collections.abc import Sequence

from dmlkit.explorer.attention_explorer import AttentionExplorer


def explore(
    run_or_model,
    data,
    *,
    video: str | None = None,
    split: str = "validate",
    classes: Sequence[int | str] | None = None,
    keep: int = 3,
    max_videos: int = 5000,
) -> AttentionExplorer:
    """See which frames of a video a model looks at, and what its scores become without them.

    The view's `weights` and `scores` are those of the first run; `scores_by_run()` has every run's.

    Args:
        run_or_model: A `Run` with attention, the path of one, a keras model, or a list of up to three.
        data: The frame-level data set it was trained on, or its path.
        video: The id of the first video shown; None takes the first of the part.
        split: The part whose videos can be chosen.
        classes: The classes drawn, by number or name.
        keep: How many videos a saved page carries.
        max_videos: Of the part's first videos, how many can be chosen; the view says so where there are more.

    Raises:
        UsageError: A model without attention, other data, an unknown video or class.
        DataError: The run or its data are gone. A single video that cannot be read is said in the view; setting
            `video` to such a one raises it too.
    """
    from dmlkit.explorer.sources import ModelSource  # loads TensorFlow

    return AttentionExplorer(
        ModelSource(run_or_model, data, split=split, max_videos=max_videos),
        video=video,
        classes=classes,
        keep=keep,
    )


def explore_arrays(
    weights,
    *,
    contributions=None,
    biases=None,
    logits=None,
    scores=None,
    occlusion=None,
    class_names: Sequence[str] | None = None,
    times=None,
    energy=None,
    change=None,
    planted=None,
    true=None,
    run: str = "weights",
    data: str = "arrays",
    normalize: bool = False,
    video: str | None = None,
    classes: Sequence[int | str] | None = None,
    keep: int = 3,
) -> AttentionExplorer:
    """The same view of anybody's arrays: neither a model of ours nor TensorFlow is needed.

    Args:
        weights: (frames,) not negative, a sum of 1; or a list or a dict of several videos'.
        contributions, biases, logits, scores, occlusion, class_names, times, energy, change, planted, true, run, data,
            normalize: As for `ArraySource`.
        video, classes, keep: As for `explore`.

    Raises:
        UsageError: Arrays that do not go together; the message says which and how.
        DataError: NaN, or weights that are no weights.
    """
    from dmlkit.explorer.array_source import ArraySource

    source = ArraySource(
        weights,
        contributions=contributions,
        biases=biases,
        logits=logits,
        scores=scores,
        occlusion=occlusion,
        class_names=class_names,
        times=times,
        energy=energy,
        change=change,
        planted=planted,
        true=true,
        run=run,
        data=data,
        normalize=normalize,
    )
    return AttentionExplorer(source, video=video, classes=classes, keep=keep)
