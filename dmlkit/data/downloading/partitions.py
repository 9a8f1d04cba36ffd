"""What there is to fetch, under the names of YouTube-8M's own downloader, and where it lies."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from dmlkit.errors import UsageError, choose, nearest
from dmlkit.text import shorten

SPLITS = ("train", "validate", "test")
_SHARE = re.compile(r"([0-9]{1,6})[/,]([0-9]{1,6})", re.ASCII)
_VOCABULARIES = "https://research.google.com/youtube8m/csv"


@dataclass(frozen=True)
class Partition:
    """One level of one release.

    Attributes:
        title: What it is and how large, for people.
        classes: How many there are.
        letters: Shards end with two of these on the server. Where case is one, `trainaB` and `trainAb` are a single
            file, so they are numbered here, as the official downloader does.
        vocabulary: The file that names the classes.
        vocabulary_at: Where that file lies, where no mirror of one's own is named.
    """

    title: str
    classes: int
    letters: str
    vocabulary: str
    vocabulary_at: str


_LETTERS = string.ascii_letters + string.digits

# All have the splits of SPLITS.
PARTITIONS: Mapping[str, Partition] = {
    "2/frame": Partition(
        "YouTube-8M 2018, a vector a second: 1.53 TB",
        3862,
        _LETTERS,
        "vocabulary.csv",
        f"{_VOCABULARIES}/2/vocabulary.csv",
    ),
    "2/video": Partition(
        "YouTube-8M 2018, a vector a video: 31 GB",
        3862,
        _LETTERS,
        "vocabulary.csv",
        f"{_VOCABULARIES}/2/vocabulary.csv",
    ),
    "1/frame_level": Partition(
        "YouTube-8M 2017, the paper's, a vector a second: 1.71 TB; withdrawn in 2018",
        4716,
        _LETTERS + "-_",
        "label_names.csv",
        f"{_VOCABULARIES}/label_names.csv",
    ),
    "1/video_level": Partition(
        "YouTube-8M 2017, the paper's, a vector a video: 31 GB; withdrawn in 2018",
        4716,
        _LETTERS + "-_",
        "label_names.csv",
        f"{_VOCABULARIES}/label_names.csv",
    ),
}


@dataclass(frozen=True)
class Mirror:
    """Where plans, shards and vocabularies lie; what stands below is the same everywhere."""

    plans: str
    files: str
    vocabularies: str | None = None  # None: where `Partition.vocabulary_at` says

    def plan(self, partition: str, split: str) -> str:
        """The address of a split's list of files and hashes."""
        release, level = partition.split("/")
        return f"{self.plans}/{release}/download_plans/{level}_{split}.json"

    def file(self, partition: str, split: str, name: str) -> str:
        """The address of a shard."""
        return f"{self.files}/{partition}/{split}/{name}"

    def vocabulary(self, partition: str) -> str:
        """The address of the names of the classes."""
        about = PARTITIONS[partition]
        if self.vocabularies is None:
            return about.vocabulary_at
        return f"{self.vocabularies}/{partition.split('/')[0]}/{about.vocabulary}"


# By https, which the official downloader does not: the hashes are worth as much as the road the plan came by.
_STORE = "https://storage.googleapis.com"
MIRRORS: Mapping[str, Mirror] = {
    place: Mirror(f"{_STORE}/data.yt8m.org", f"{_STORE}/{place}.data.yt8m.org")
    for place in ("us", "eu", "asia")
}


def find_mirror(name: str) -> Mirror:
    """A mirror by its name, or one's own by its address.

    Raises:
        UsageError: It is neither.
    """
    if name in MIRRORS:
        return MIRRORS[name]
    if "://" not in name:
        raise UsageError(
            f"Unknown mirror {shorten(name)!r}.{nearest(name, MIRRORS)} There are: {', '.join(MIRRORS)}; or the "
            "address of one's own, https://host/folder."
        )
    try:
        parts = urlsplit(name)
        known = parts.scheme in ("http", "https") and parts.hostname and (parts.port or True)
    except ValueError:
        known = False
    if not known or parts.query or parts.fragment or parts.username is not None:
        raise UsageError(
            f"{shorten(name, 200)!r} is not the address of a mirror. It looks like https://host/folder, with the "
            "folders of the releases (2/frame/train, 2/download_plans) below it. A user's name and password belong in "
            "~/.netrc."
        )
    base = name.rstrip("/")
    return Mirror(base, base, base)


def find_partition(name: str, splits: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """The partition and its splits: `2/frame` and splits, or `2/frame/train` as the official downloader has it.

    Raises:
        UsageError: There is no such partition or split.
    """
    head, _, tail = name.rpartition("/")
    if tail in SPLITS and head in PARTITIONS:
        if splits and set(splits) != {tail}:
            raise UsageError(
                f"{name} is the split {tail!r}, but {', '.join(splits)} was asked for as well. Name the partition "
                f"{head}, and the splits apart from it."
            )
        name, splits = head, (tail,)
    choose(PARTITIONS, name, what="partition")
    for split in splits:
        if split not in SPLITS:
            raise UsageError(
                f"Unknown split {shorten(split)!r}.{nearest(split, SPLITS)} The splits are: {', '.join(SPLITS)}."
            )
    return name, tuple(split for split in SPLITS if split in splits or not splits)


def find_share(text: str) -> tuple[int, int]:
    """`"1/100"`, the first of a hundred parts → `(1, 100)`.

    Raises:
        UsageError: It is not such a share.
    """
    match = _SHARE.fullmatch(text)
    part, parts = map(int, match.groups()) if match else (0, 0)
    if not 1 <= part <= parts:
        raise UsageError(
            f"{shorten(text)!r} is not a share of the shards. It looks like 1/100 (the first of a hundred parts of "
            "about one size); the second number is at least the first."
        )
    return part, parts
