"""Later systems, and the recipes that reach the best scores here."""

from __future__ import annotations

from dmlkit.experiments.rung import Rung, by_name

BEYOND: dict[str, Rung] = by_name()
