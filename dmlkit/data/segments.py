"""Segments: five seconds of a video, some of them rated by people for some classes, as in YouTube-8M 2019 (`3/frame`).

A frame is a second. The context of a rated video's record holds four lists of one length, an entry for each rated
(segment, class) pair: ``segment_labels`` (the class), ``segment_start_times`` and ``segment_end_times`` (seconds),
``segment_scores`` (1: the segment shows the class, 0: it does not). What was not rated is not known.

Differs from the starter code's reader, which takes every segment to be five seconds long and within the video, and the
last of two ratings: here any other record is invalid.
"""

from __future__ import annotations

from dmlkit.data.records import KINDS, SEGMENT_KEYS, SEGMENT_SECONDS, Features, InvalidRecord

MISSING_FRAMES = 1  # at a video's end: it need not last whole seconds
_ADVICE = "Correct the record, or leave it out."


def segment_starts(num_frames: int) -> range:
    """Where the segments of a whole video begin, one after the other; the last one may lack `MISSING_FRAMES`."""
    return range(0, num_frames + MISSING_FRAMES - SEGMENT_SECONDS + 1, SEGMENT_SECONDS)


def read_ratings(context: Features, *, num_classes: int, num_frames: int) -> dict[int, dict[int, float]]:
    """Start of each segment, in seconds → each class that a video of so many frames was rated for in it → 0 or 1.

    Both ascend; a pair that is rated twice alike counts once. Raises `InvalidRecord` of kind ``"segment"`` (lists that
    do not fit one another; a segment that is not five seconds within the video), ``"rating"`` (a score other than 0 and
    1; a pair rated 0 and 1) or ``"label"`` (no such class).
    """
    columns = []
    for key in SEGMENT_KEYS:
        entry = context.feature.get(key)
        found = entry.WhichOneof("kind") if entry else None
        if found not in (None, "int64_list", *["float_list"] * (key == SEGMENT_KEYS[-1])):
            what = f"{key} holds {KINDS[found]}, where numbers ({KINDS['int64_list']}) are expected"
            raise InvalidRecord(f"{what}. {_ADVICE}", kind="segment")
        columns.append(getattr(entry, found).value if found else ())
    if len({*map(len, columns)}) > 1:
        sizes = ", ".join(f"{key} {len(values)}" for key, values in zip(SEGMENT_KEYS, columns, strict=True))
        raise InvalidRecord(f"its lists of ratings differ in length ({sizes}). {_ADVICE}", kind="segment")
    ratings: dict[int, dict[int, float]] = {}
    for label, start, end, score in zip(*columns, strict=True):
        what, kind = None, "segment"
        if end - start != SEGMENT_SECONDS:
            what = f"lasts {end - start} seconds, not {SEGMENT_SECONDS}"
        elif start < 0 or end > num_frames + MISSING_FRAMES:
            what = f"is not within the video, which has {num_frames} frames, one a second"
        elif not 0 <= label < num_classes:
            what, kind = f"is rated for class {label}, none of 0 to {num_classes - 1:,}", "label"
        elif score not in (0, 1):
            what, kind = f"is rated {score:g} for class {label}, neither 0 nor 1", "rating"
        elif ratings.setdefault(start, {}).setdefault(label, score) != score:
            what, kind = f"is rated both 0 and 1 for class {label}", "rating"
        if what:
            raise InvalidRecord(f"its segment from second {start} to {end} {what}. {_ADVICE}", kind=kind)
    return {start: dict(sorted(ratings[start].items())) for start in sorted(ratings)}
