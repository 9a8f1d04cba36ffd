"""A video's texts (its title, its keywords) as a bag of tokens: which of them occur, each at a place of its hash.

No vocabulary is kept: a token's place is its CRC-32 modulo the bag's size, the same in every process and for ever.
Two tokens may share a place, the more often the smaller the bag. How often a token occurs makes no difference: a
title says a word once, and what is said a thousand times over is meant to be found, not to inform.
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections.abc import Iterable, Iterator

import numpy as np

from dmlkit.data import messages
from dmlkit.data.faults import RecordFault
from dmlkit.data.schema import Feature

# Letters and figures of any script. Scripts that part no words (Chinese, Thai) give a token a phrase; those that write
# vowels as marks (Devanagari) are parted at them.
_TOKEN = re.compile(r"[^\W_]+")


def tokens(text: str) -> Iterator[str]:
    """Its words, in the letter case that compares them: ``"My BEST_cats"`` → my, best, cats."""
    # An accent may be a character of its own, which is no letter and would part the word.
    return (found.group() for found in _TOKEN.finditer(unicodedata.normalize("NFKC", text.casefold())))


def place(token: str, size: int) -> int:
    """A token's place in a bag of this size."""
    return zlib.crc32(token.encode()) % size


def bag(texts: Iterable[bytes], size: int) -> np.ndarray:
    """Which tokens occur in texts.

    Args:
        texts: UTF-8; what is not ends a token.
        size: Of the bag.

    Returns:
        float32 of 0 and 1, (size,).
    """
    row = np.zeros(size, np.float32)
    for text in texts:
        for token in tokens(text.decode("utf-8", "replace")):
            row[place(token, size)] = 1
    return row


def read_texts(context: messages.Features, features: Iterable[Feature]) -> dict[str, np.ndarray]:
    """The bags of those texts that a record has.

    Args:
        context: The features of an example, or the context of a sequence example.
        features: Text modalities.

    Raises:
        RecordFault: One is no bytes.
    """
    found = {}
    for feature in features:
        if feature.key not in context.feature:
            continue
        entry = context.feature[feature.key]
        if entry.WhichOneof("kind") not in ("bytes_list", None):
            raise RecordFault(
                f"{feature.key} holds numbers, but the data set says that it is a text. Correct the coding in "
                "dataset.toml.",
                kind="coding",
            )
        if entry.bytes_list.value:
            found[feature.name] = bag(entry.bytes_list.value, feature.size)
    return found
