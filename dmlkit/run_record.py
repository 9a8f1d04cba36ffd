"""What `run.json` must hold, key by key, and which of it are the columns of a table of runs."""

from __future__ import annotations

import math

# Key → what it is. A dot goes one level down, a number takes a place of a list.
KEYS = {
    "kind": "text",
    "fingerprint": "text",
    "experiment.name": "text",
    "experiment.title": "text",
    "profile.name": "text",
    "seed": "whole number",
    "data.name": "text",
    "data.fingerprint": "text",
    "data.generated": "true or false",
    "parameters": "whole number",
    "epochs": "whole number or null",
    "seconds.training": "number",
    "started": "text",
    "tuning.gap": "number",
    "metrics.gap": "number",
    "metrics.gap_interval.0": "number",
    "metrics.gap_interval.1": "number",
    "metrics.map": "number",
    "metrics.hit_at_one": "number",
    "metrics.perr": "number",
    "metrics.videos": "whole number",
}

COLUMNS = {
    "name": "experiment.name",
    "title": "experiment.title",
    "gap": "metrics.gap",
    "gap_low": "metrics.gap_interval.0",
    "gap_high": "metrics.gap_interval.1",
    "map": "metrics.map",
    "hit_at_one": "metrics.hit_at_one",
    "perr": "metrics.perr",
    "tuning_gap": "tuning.gap",
    "parameters": "parameters",
    "seconds": "seconds.training",
    "epochs": "epochs",
    "profile": "profile.name",
    "seed": "seed",
    "data": "data.name",
    "generated": "data.generated",
    "videos": "metrics.videos",
    "started": "started",
}

_IS = {
    "text": lambda value: isinstance(value, str),
    "true or false": lambda value: isinstance(value, bool),
    "number": lambda value: _is_whole(value) or (isinstance(value, float) and math.isfinite(value)),
    "whole number": lambda value: _is_whole(value),
    "whole number or null": lambda value: value is None or _is_whole(value),
}


def value_at(record, where: str):
    """What stands at a key of `KEYS`.

    Raises:
        LookupError: Nothing stands there.
    """
    value = record
    for step in where.split("."):
        if isinstance(value, list) and step.isdigit() and int(step) < len(value):
            value = value[int(step)]
        elif isinstance(value, dict) and step in value:
            value = value[step]
        else:
            raise LookupError(where)
    return value


def wrong_keys(record) -> str:
    """What keeps this from being the record of a run, in one line; empty where nothing does."""
    if not isinstance(record, dict):
        return f"it holds a {type(record).__name__} instead of a run's keys"
    missing, wrong = [], []
    for where, what in KEYS.items():
        try:
            value = value_at(record, where)
        except LookupError:
            missing.append(where)
            continue
        if not _IS[what](value):
            wrong.append(f"{where} is no {what}")
    said = [f"it lacks {_few(missing)}"] if missing else []
    return "; ".join(said + wrong[:3])


def _few(keys: list[str]) -> str:
    more = f" and {len(keys) - 3} more keys" if len(keys) > 3 else ""
    return ", ".join(keys[:3]) + more


def _is_whole(value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
