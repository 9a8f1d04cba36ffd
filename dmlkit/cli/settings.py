"""`--set FIELD=VALUE`: fields of the profile that a training is to have otherwise, checked before TensorFlow loads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import get_type_hints

from dmlkit.errors import UsageError, choose
from dmlkit.experiments import TRICKS, AnyExperiment, Ensemble, Experiment, find
from dmlkit.profiles import PROFILES, RECIPES, Profile, positive


def _number_or_none(value: str) -> int | None:
    return None if value.lower() == "none" else int(value)


def _two_numbers(value: str) -> tuple[float, float]:
    first, second = map(float, value.split(","))
    return first, second


# The type of a field → how it is read, and what to write.
READERS: dict[object, tuple[Callable[[str], object], str]] = {
    str: (str, "a name"),
    int: (int, "a whole number"),
    float: (float, "a number"),
    int | None: (_number_or_none, "a whole number, or none"),
    tuple[float, float]: (_two_numbers, "two numbers with a comma between them"),
}

FIELDS = {name: kind for name, kind in get_type_hints(Profile).items() if name not in ("name", "purpose")}
"""Field of a profile that can be set → its type; what a profile is called says where runs lie."""

OF_EXPERIMENTS = ("units", "layers", "normalization")
"""Fields that an experiment may have of its own, instead of the profile's."""


def read_settings(given: Sequence[str]) -> dict[str, object]:
    """Field → value.

    Args:
        given: Each as FIELD=VALUE.

    Raises:
        UsageError: An unknown field, one that is given twice, or a value of another type.
    """
    found: dict[str, object] = {}
    for each in given:
        name, equals, value = each.partition("=")
        if not equals:
            raise UsageError(f"--set takes FIELD=VALUE, such as mixup=0.4. Received: {each!r}.")
        read, takes = READERS[choose(FIELDS, name, what="field to set")]
        if name in found:
            raise UsageError(f"{name} is set twice. Name it once.")
        try:
            found[name] = read(value)
        except ValueError:
            raise UsageError(f"--set {name} takes {takes}. Received: {value!r}.") from None
    return found


def check_settings(rung: AnyExperiment, profile: str | None, changes: Mapping[str, object]) -> None:
    """Refuse what no training of a rung could have, or what the rung has of its own.

    Args:
        rung: What is to be trained; of an ensemble its members are looked at, and teachers beside who follows them.
        profile: The name of the one that is asked for, if any.
        changes: From `read_settings`.

    Raises:
        UsageError: Says which field it is.
    """
    if isinstance(rung, Experiment):
        _check_training(rung, profile, changes)
    for name in rung.members if isinstance(rung, Ensemble) else getattr(rung, "teachers", ()):
        try:
            check_settings(find(name), profile, changes)
        except UsageError as error:
            raise UsageError(f"{rung.name} needs {name}, which cannot be trained so. {error}") from None


def _check_training(rung: Experiment, profile: str | None, changes: Mapping[str, object]) -> None:
    tricks = TRICKS[rung.trick].changes if rung.trick else {}
    own = {name: getattr(rung, name) for name in OF_EXPERIMENTS if getattr(rung, name) is not None} | dict(
        tricks
    )
    for name in changes:
        if name in own:
            raise UsageError(
                f"{rung.name} has {name}={own[name]} of its own, whatever the profile says: --set {name} would change "
                "nothing. Set it on another experiment."
            )
    conditions = choose(PROFILES | RECIPES, profile or rung.recipe or "demo", what="profile")
    positive(replace(conditions, **changes, **tricks))
