"""What the generated data set is made of: its classes, their kinds and every constant, in one place.

Frozen: models are compared on these data, so a change here changes what every earlier figure meant. Who changes
a constant raises `VERSION` and gives tests/data/test_synthetic.py its new checksum.
"""

from __future__ import annotations

import math
from functools import cache

VERSION = 1

STEADY_LOOK = "steady look"
STEADY_SOUND = "steady sound"
TOGETHER = "together"
SHORT_EVENT = "short event"
ORDER = "order"

# Kind → what makes its label. Shown by reports beside the kinds' scores.
KINDS = {
    STEADY_LOOK: "a pattern in every frame's look; the mean over frames keeps it",
    STEADY_SOUND: "a pattern in every frame's sound; the mean over frames keeps it",
    TOGETHER: "a look and a sound at the same moment, with equal or with opposite signs (an exclusive-or): "
    "neither alone tells which, and over the frames both cancel",
    SHORT_EVENT: "a strong look during 5 to 10 % of the frames; the mean over frames dilutes it",
    ORDER: "two looks, A then B or B then A, equally long and opposite: over the frames they cancel",
}

# The classes' kinds, the most frequent class first. Classes of TOGETHER and of ORDER come in pairs (the first and
# second, the third and fourth of the kind) that share their patterns and never occur in one video.
RANKS = (
    *(TOGETHER, SHORT_EVENT, STEADY_LOOK, ORDER, STEADY_SOUND, TOGETHER, SHORT_EVENT, ORDER),
    *(STEADY_LOOK, TOGETHER, STEADY_SOUND, SHORT_EVENT, TOGETHER, ORDER, STEADY_LOOK, SHORT_EVENT),
    *(STEADY_SOUND, TOGETHER, ORDER, SHORT_EVENT, STEADY_LOOK, TOGETHER, STEADY_SOUND, SHORT_EVENT),
)

# Label k occurs with a probability proportional to 1 / (k + ZIPF_SHIFT), k from 1.
ZIPF_SHIFT = 3
LABELS_PER_VIDEO = 3.0
# The kinds of which the mean over frames holds something. Every video has a label among these: asking for a label of
# any kind would make the others likelier in videos that show none of these, which a mean could tell.
SEEN_BY_MEANS = (STEADY_LOOK, STEADY_SOUND, SHORT_EVENT)

# A frame is a video's own offset + autoregressive noise + what its labels plant. The deviations are per dimension.
OFFSET_DEVIATION = 0.25
NOISE_DEVIATION = 0.33
NOISE_CARRY = 0.6  # the share of a frame's noise that goes on into the next frame

# How long (in the L2 norm) a kind's pattern is. The norm, not the height per dimension, is what a matched filter
# sees, so that small and full dimensions are equally hard.
LENGTHS = {STEADY_LOOK: 1.15, STEADY_SOUND: 1.25, TOGETHER: 2.3, SHORT_EVENT: 4.5, ORDER: 2.0}
GAINS = (0.8, 1.2)  # each occurrence is drawn weaker or stronger

HALF_SHARE = (0.2, 0.3)  # of the frames, for each of the two equal halves of TOGETHER and ORDER
EVENT_SHARE = (0.05, 0.10)  # of the frames, for SHORT_EVENT
EVENT_FRAMES = 2  # at least
# Videos without a TOGETHER pair show its look alone, or its sound alone, this often.
DECOY_PROBABILITY = 0.1

DEMO_SIZES = {"rgb": 64, "audio": 16}
DEMO_FRAMES = 40
# YouTube-8M's own.
FULL_SIZES = {"rgb": 1024, "audio": 128}
FULL_FRAMES = 300

NUM_CLASSES = len(RANKS)


def members(kind: str) -> list[int]:
    """The classes of a kind, the most frequent first."""
    return [index for index, its_kind in enumerate(RANKS) if its_kind == kind]


def pairs(kind: str) -> list[tuple[int, int]]:
    """The classes of TOGETHER or ORDER in the pairs that share their patterns."""
    classes = members(kind)
    return list(zip(classes[::2], classes[1::2], strict=True))


def class_names() -> list[str]:
    """A name for each class that says its kind: ``"steady look 3"``, ``"order 1: A then B"``."""
    names = [""] * NUM_CLASSES
    for kind, endings in {TOGETHER: ("same sign", "opposite sign"), ORDER: ("A then B", "B then A")}.items():
        for number, pair in enumerate(pairs(kind), start=1):
            for index, ending in zip(pair, endings, strict=True):
                names[index] = f"{kind} {number}: {ending}"
    for kind in (STEADY_LOOK, STEADY_SOUND, SHORT_EVENT):
        for number, index in enumerate(members(kind), start=1):
            names[index] = f"{kind} {number}"
    return names


@cache
def probabilities() -> tuple[float, ...]:
    """How often each label occurs."""
    weights = [1.0 / (rank + ZIPF_SHIFT) for rank in range(1, NUM_CLASSES + 1)]
    return tuple(LABELS_PER_VIDEO * weight / math.fsum(weights) for weight in weights)


@cache
def draw_probabilities() -> tuple[float, ...]:
    """How often each label is to be drawn, if labels are drawn again until one is of SEEN_BY_MEANS.

    Those kinds' labels are drawn less often by the share of draws that are kept, so that in the end all labels occur
    as `probabilities` says.
    """
    kept = 1.0
    for _ in range(200):
        kept = 1.0 - math.prod(
            1.0 - kept * chance
            for kind, chance in zip(RANKS, probabilities(), strict=True)
            if kind in SEEN_BY_MEANS
        )
    return tuple(
        kept * chance if kind in SEEN_BY_MEANS else chance
        for kind, chance in zip(RANKS, probabilities(), strict=True)
    )
