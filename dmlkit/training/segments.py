"""Segments of videos: the pairs that count, and scores of a video's segments from what its frames contribute."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import numpy as np

from dmlkit.data import SEGMENT_SECONDS, Match, Skipped
from dmlkit.errors import DataError, UsageError
from dmlkit.metrics import SegmentPrecision, TopPairs, interval_over_videos, videos_of
from dmlkit.predictions import Predictions
from dmlkit.profiles import Profile
from dmlkit.runs import Run

METHODS = {
    "clip": "each segment as a short video",
    "contribution": "what a segment's frames contribute to the score of the whole video",
    "video": "the whole video's score for each of its segments, which localizes nothing",
}
"""How a run scores segments."""
SMALLEST = np.float16(1e-6)  # well above 0 at half precision, also where an ensemble weights it
VIDEOS_AT_ONCE = 16  # whole videos whose states are held for their contributions


def check_conditions(profile: Profile) -> None:
    """Raise a `UsageError` for what a training on segments cannot have: it would need labels of every class."""
    for name in ("mixup", "label_smoothing", "class_balance", "ridge"):
        if getattr(profile, name):
            raise UsageError(
                f"On segments only rated pairs count, and {name} needs the labels of every class: set {name} to 0."
            )


def only_rated(scores: np.ndarray, rated: np.ndarray) -> np.ndarray:
    """Scores (segments, classes) float16 where a pair is rated, at least 1e-6; 0 elsewhere, behind all of these.

    So GAP, Hit@1, PERR and mAP are those over the rated pairs.
    """
    return np.where(np.asarray(rated) > 0, np.maximum(scores, SMALLEST), np.float16(0))


def precision_of(blocks: Iterable[Predictions]) -> SegmentPrecision:
    """mAP@K of segments with the scores that `only_rated` has left, some of them at a time."""
    precision = SegmentPrecision()
    for block in blocks:
        scores = block.kept_scores
        precision.update(scores, block.labels, scores > 0, ids=block.ids)
    return precision


def with_interval(precision: SegmentPrecision) -> dict:
    """What was measured, with the interval of mAP@K and the number of videos that it is over."""
    return precision.result() | interval_over_videos(precision.pairs())


def by_video(pairs: TopPairs, segments: np.ndarray) -> TopPairs:
    """The same pairs with one row a video, whose segments stay together in a bootstrap; GAP is the same.

    Rows are filled up with pairs of score 0 that are not correct.
    """
    _, video, counts = np.unique(videos_of(segments.tolist()), return_inverse=True, return_counts=True)
    order = np.argsort(video, kind="stable")
    places = video[order], np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    scores, correct = (np.zeros((len(counts), counts.max(), each.shape[1]), each.dtype) for each in pairs[:2])
    scores[places], correct[places] = pairs.scores[order], pairs.correct[order]
    true_labels = np.bincount(video, pairs.true_labels).astype(pairs.true_labels.dtype)
    return TopPairs(scores.reshape(len(counts), -1), correct.reshape(len(counts), -1), true_labels)


# --- Scores from the contributions of frames ---


def whole_video_scorer(
    run: Run, dataset, split: str, *, method: str, matched: Match, skipped: Skipped
) -> Callable[[dict], np.ndarray]:
    """A function from a batch of segments, in the order of the split, to scores of the run's classes.

    By the method "video" a segment has the score of its video; equal scores stay in the order of the segments.

    By the method "contribution" the run reads every frame of the whole video, so that states know what comes before and
    after the segment. Its logit (of class-wise attention: its score) is ℓ_k = b_k + Σ_t α_tk v_tk: the attention weight
    of frame t times its evidence for class k, w_k · h_t (class-wise: its own score). A segment S has the score of
    the video of which only its frames are pooled, their weights made to sum to 1 again:

        score(S, k) = σ(b_k + Σ_{t ∈ S} α_tk v_tk / Σ_{t ∈ S} α_tk)        (class-wise attention: without b_k and σ)

    So ℓ_k is the mean of those of the video's segments, weighted by their attention.

    Raises:
        UsageError: The run pools no states of frames, so that a segment has no share in its scores.

    Source: the class activations over time of Nguyen et al. 2018, "Weakly supervised action localization by sparse
    temporal pooling network", §3.3, with the attention of a softmax and within a segment.
    """
    from dmlkit.models.attention import FrameProbe  # loads Keras

    probe = FrameProbe(run.model)
    if method == "contribution" and not probe.maskable:
        raise UsageError(
            f"{run.path} ({run.name}) pools no states of frames, so that a frame contributes nothing by itself. Take a "
            "run with attention or a mean over frames, or score segments as clips (--method clip)."
        )
    whole = replace(dataset, unit="whole", labelled=frozenset())
    videos = _videos(probe, whole, split, matched=matched, skipped=skipped)
    nothing = np.zeros(0), np.zeros((0, 0))
    video, scores, states = None, *nothing

    def score(batch: dict) -> np.ndarray:
        nonlocal video, scores, states
        found, of_videos = [], []
        for segment in batch["id"].tolist():
            name, _, start = segment.rpartition(":")
            while video != name:  # videos without rated segments are passed over
                video, scores, states = next(videos, (name, *nothing))
            of_videos.append(scores)
            found.append(states[int(start) : int(start) + SEGMENT_SECONDS])
            if not len(found[-1]):
                raise DataError(
                    f"{dataset.path}, split {split!r}: the video of segment {segment} cannot be read."
                )
        if method == "video":
            return np.stack(of_videos)
        # The last second of a video may be missing.
        rows = [np.pad(each, ((0, SEGMENT_SECONDS - len(each)), (0, 0))) for each in found]
        return probe.pooled_scores(np.stack(rows), np.array([*map(len, found)]))

    return score


def _videos(
    probe, dataset, split: str, *, matched: Match, skipped: Skipped
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Each video's id, its scores (classes,) and its states (frames, size)."""
    for batch in dataset.batches(split, batch_size=VIDEOS_AT_ONCE, on_fault=skipped):
        parts, frames = probe.parts(matched.inputs(batch)), batch["num_frames"]
        for row, video in enumerate(batch["id"].tolist()):
            yield video, parts.scores[row], parts.states[row, : frames[row]]
