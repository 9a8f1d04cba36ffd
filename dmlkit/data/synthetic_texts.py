"""What generated videos are called, where the data set is to have texts: a title and keywords.

Every class has a topic, one word. A video's texts name the topic of each of its labels now and then, some other topic
rarely, and beside them words that mean nothing. Frozen like `synthetic_kinds`; the frames do not depend on it.
"""

from __future__ import annotations

from collections.abc import Sequence

from dmlkit.data import synthetic_kinds as kinds
from dmlkit.data.synthetic_stream import Stream

# Class → its topic. In a bag of `TEXT_SIZE` no two words of this file share a place.
TOPICS = (
    *("river", "guitar", "kitchen", "harbour", "rocket", "garden", "violin", "tractor"),
    *("glacier", "carnival", "lantern", "falcon", "bakery", "canyon", "orchard", "subway"),
    *("telescope", "desert", "hockey", "pottery", "volcano", "library", "motorcycle", "waterfall"),
)
# How often a text names the topic of a label, and of a class that the video is not of.
NAMED, STRAY = 0.6, 0.02
# Videos without any text.
SILENT = 0.1

FILLERS = (
    *("my", "your", "the", "best", "old", "great", "funny", "official", "full", "part", "one", "two"),
    *("three", "first", "day", "night", "live", "video", "clip", "how", "to", "make", "with", "and"),
    *("of", "for", "at", "from", "home", "world", "life", "top", "episode", "season", "review", "hd"),
    *("2012", "2013", "2014"),
)
# How many of these a video's texts hold.
FILLED = (3, 8)
# Whether a topic stands in the title; else it is a keyword.
IN_TITLE = 0.5


def make_texts(stream: Stream, labels: Sequence[int]) -> list[str]:
    """A title and keywords; the one or the other may be missing, and both.

    Args:
        stream: Of these texts alone.
        labels: The video's classes.
    """
    title, keywords = [], []
    silent = stream.uniform() < SILENT
    for index in range(kinds.NUM_CLASSES):
        if stream.uniform() < (NAMED if index in labels else STRAY):
            (title if stream.uniform() < IN_TITLE else keywords).append(TOPICS[index])
    for _ in range(stream.integer(*FILLED)):
        word = FILLERS[stream.integer(0, len(FILLERS) - 1)]
        title.insert(stream.integer(0, len(title)), word)
    said = [" ".join(title).title(), ", ".join(keywords)]
    return [] if silent else [text for text in said if text]
