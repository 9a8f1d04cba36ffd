"""Times in words."""

from __future__ import annotations

from datetime import datetime


def date(iso: str) -> str:
    """`18 March 2026, 14:05 UTC`."""
    when = datetime.fromisoformat(iso)
    return f"{when.day} {when:%B %Y, %H:%M} {when.tzname() or ''}".strip()


def duration(seconds: float | None) -> str:
    """`0.4 s`, `48 s`, `4 min 12 s`, `2 h 05 min`."""
    if seconds is None:
        return ""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 1:
        return f"{rest} s"
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    return f"{minutes // 60} h {minutes % 60:02} min"
