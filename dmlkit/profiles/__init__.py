"""The conditions under which rungs are compared: one setting for all of a ladder.

A profile is sizes, input normalisation, optimiser and budget. Every rung trained under it sees the same
number of examples at the same learning rates; early stopping looks at the tuning part alone.

    profile    what it is
    ladders    `smoke`, `demo`, `full`, `paper`: the same for every rung of a ladder
    recipes    one experiment's own
    checking   what its fields may be
"""

from dmlkit.profiles.checking import CHOICES, RANGES, positive
from dmlkit.profiles.ladders import DEMO, FULL, PAPER, PROFILES, SMOKE
from dmlkit.profiles.profile import AFTER_TUNING, KEEP, REFIT, Profile
from dmlkit.profiles.recipes import RECIPES

__all__ = [
    "AFTER_TUNING",
    "CHOICES",
    "DEMO",
    "FULL",
    "KEEP",
    "PAPER",
    "PROFILES",
    "RANGES",
    "RECIPES",
    "REFIT",
    "SMOKE",
    "Profile",
    "positive",
]
