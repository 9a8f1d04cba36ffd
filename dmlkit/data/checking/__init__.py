"""`check`: every record of data sets read, its checksums and contents, and what the records hold told.

No TensorFlow for local files, in no process. Memory does not grow with the number of shards, but for 8 bytes a video:
a hash of its id, by which one that stands twice is found.

    targets      what is to be checked: folders and shards → a data set each, its layout and release recognised
    shards       one shard: what is wrong with it, and what was counted
    tallies      what was counted, which can be added up
    crew         shards spread over processes; one that dies costs no more than the shard it died of
    duplicates   ids that stand twice
    reports      all of it as one record (JSON), whose entries are documented there
    telling      all of it as text
"""

from __future__ import annotations

import importlib

_HOMES = {"Fault": "tallies", "Report": "reports", "check": "checks"}

__all__ = sorted(_HOMES)


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
