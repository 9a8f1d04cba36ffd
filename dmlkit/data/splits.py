"""Three parts for three uses: training, tuning, validation.

Early stopping, learning rates and ensemble weights see only the tuning part; the validation part is scored once.
Whole shards are moved, never records, so that nothing need be read to divide a data set.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence

from dmlkit.errors import DataError

# What file or folder names say, looked at in this order.
_WORDS = {
    "tuning": re.compile(r"tun(e|ing)", re.IGNORECASE),
    "train": re.compile(r"train", re.IGNORECASE),
    "validate": re.compile(r"valid|eval|(^|[^a-z])val([^a-z]|$)", re.IGNORECASE),
    "test": re.compile(r"test", re.IGNORECASE),
}
FEWEST_SHARDS = 3


def split_of(shard: str, root: str) -> str:
    """The split that a shard's name tells, or else the nearest folder above it that tells; else ``"train"``."""
    inside = shard.removeprefix(root).strip("/")
    for part in reversed(posixpath.splitext(inside)[0].split("/")):
        for split, pattern in _WORDS.items():
            if pattern.search(part):
                return split
    return "train"


def by_split(shards: Iterable[str], root: str) -> dict[str, tuple[str, ...]]:
    """Split → shards, by their names."""
    found: dict[str, list[str]] = {}
    for shard in shards:
        found.setdefault(split_of(shard, root), []).append(shard)
    return {split: tuple(each) for split, each in found.items()}


def divide(
    splits: Mapping[str, Sequence[str]], labelled: frozenset[str], root: str
) -> tuple[dict[str, tuple[str, ...]], frozenset[str], tuple[str, ...]]:
    """Make the parts that training needs out of the splits there are.

    Args:
        splits: Name → shards.
        labelled: Those whose records carry labels.
        root: The data set's folder, for messages.

    Returns:
        The splits, those with labels, and a note on everything that was divided.

    Raises:
        DataError: Too few shards to divide.
    """
    parts = {name: sorted(shards) for name, shards in splits.items()}
    notes: list[str] = []
    alone = [name for name in ("train", "validate") if name in labelled]
    if not alone:
        return _finished(parts), labelled, ()
    if len(alone) == 1:
        (lone,) = alone
        shards = parts.pop(lone)
        if len(shards) < FEWEST_SHARDS:
            raise DataError(
                f"{root} has only one split with labels ({lone}) of {len(shards)} "
                f"{'shard' if len(shards) == 1 else 'shards'}; dividing it into training, tuning and validation "
                f"takes at least {FEWEST_SHARDS}. Add shards, or another split with labels."
            )
        for unlabelled in {"train", "validate"} & parts.keys():
            del parts[unlabelled]
            notes.append(f"The shards of the split {unlabelled!r} carry no labels and are left aside.")
        parts["train"], parts["validate"] = _take_every(shards, 5)
        which = "every fifth of them" if len(shards) >= 5 else "the last of them"
        notes.append(
            f"Only the split {lone!r} carries labels ({len(shards)} shards): {which} validates "
            f"({len(parts['validate'])}), the others train."
        )
    if "tuning" not in labelled:
        shards = parts["train"]
        if len(shards) < 2:
            raise DataError(
                f"{root} has a single training shard, and the tuning part is taken from whole shards. Write the "
                "training data as two shards or more, or name tuning shards in dataset.toml."
            )
        parts["train"], parts["tuning"] = _take_every(shards, 10)
        which = "Every tenth" if len(shards) >= 10 else "The last"
        notes.append(
            f"{which} of the {len(shards)} training shards is kept for tuning ({len(parts['tuning'])})."
        )
    return (
        _finished(parts),
        frozenset(labelled & parts.keys() | {"train", "tuning", "validate"}),
        tuple(notes),
    )


def _take_every(shards: Sequence[str], step: int) -> tuple[list[str], list[str]]:
    """The shards that stay, and every ``step``-th of them (the last one where there are fewer)."""
    taken = shards[step - 1 :: step] or shards[-1:]
    kept = set(taken)
    return [shard for shard in shards if shard not in kept], list(taken)


def _finished(parts: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    return {name: tuple(parts[name]) for name in ("train", "tuning", "validate", "test") if name in parts}
