"""Which part of the data set a video belongs to."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping

from dmlkit.data.schema import SPLITS
from dmlkit.errors import DataError, UsageError, nearest
from dmlkit.text import shorten

SHARES = "train=0.8,tuning=0.1,validate=0.1"
UNLABELLED = "test"


def read_shares(said: str) -> dict[str, float]:
    """``"train=0.8,tuning=0.1,validate=0.1"`` as a table.

    Raises:
        UsageError: An unknown part, something that is no share, or shares that do not add up to 1.
    """
    shares: dict[str, float] = {}
    for piece in said.split(","):
        name, _, share = (word.strip() for word in piece.partition("="))
        if name not in SPLITS:
            raise UsageError(
                f"Unknown part {shorten(name)!r} in --split.{nearest(name, SPLITS)} There are: "
                f"{', '.join(SPLITS)}, each with its share: {SHARES}."
            )
        try:
            value = float(share)
        except ValueError:
            value = math.nan
        if not 0 < value <= 1 or name in shares:
            raise UsageError(
                f"--split: the share of {name} must be one number above 0, at most 1. Received: "
                f"{shorten(said)!r}."
            )
        shares[name] = value
    if not math.isclose(sum(shares.values()), 1, abs_tol=1e-6):
        raise UsageError(
            f"--split: the shares must add up to 1. Received: {shorten(said)!r}, {sum(shares.values()):g}."
        )
    return {name: shares[name] for name in SPLITS if name in shares}


def part_of(video_id: str, shares: Mapping[str, float]) -> str:
    """A part by the video's name alone: the same in every import with the same shares, whatever else there is.

    Args:
        video_id: The video's name.
        shares: Part → share, together 1.
    """
    digest = hashlib.sha256(video_id.encode()).digest()
    place, end = int.from_bytes(digest[:7], "big") / 2**56, 0.0
    for part, share in shares.items():
        end += share
        if place < end:
            return part
    return part


def known(part: str, where: str) -> str:
    """A part that a source names.

    Raises:
        DataError: There is no such part.
    """
    if part not in SPLITS:
        raise DataError(
            f"{where}: there is no part {shorten(part)!r}.{nearest(part, SPLITS)} There are: "
            f"{', '.join(SPLITS)}."
        )
    return part
