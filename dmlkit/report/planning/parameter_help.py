"""All parameters of some notebooks, told for a terminal: what each takes, its default, and where it stands."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import replace

from dmlkit.report.planning.notebooks import Notebook
from dmlkit.report.planning.parameters import Parameter
from dmlkit.report.planning.plans import CORE

WIDTH = 80


def describe_parameters(notebooks: Sequence[Notebook]) -> str:
    """The parameters of notebooks in their order; what is the same in several is told once.

    Args:
        notebooks: Those that are chosen.

    Returns:
        Lines of at most 80 characters.
    """
    homes: dict[str, dict[Parameter, list[str]]] = {}
    for notebook in notebooks:
        for parameter in notebook.parameters:
            homes.setdefault(parameter.name, {}).setdefault(_plain(parameter), []).append(notebook.name)
    own = [
        _told(form, names)
        for name, forms in homes.items()
        if name not in CORE
        for form, names in forms.items()
    ]
    core = [
        _told(form, [f"given {CORE[name]}"])
        for name, forms in homes.items()
        if name in CORE
        for form in list(forms)[:1]
    ]
    parts = ["Parameters of the notebooks, given by -p NAME VALUE or by --params FILE.yaml:", *own]
    if not own:
        parts = ["These notebooks have no parameters of their own."]
    return "\n\n".join([*parts, "The same in every notebook, given by options:", *core])


def tell_value(value: object) -> str:
    """A value as `-p` would take it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return ",".join(tell_value(each) for each in value)
    return repr(value) if value == "" else str(value)


def _plain(parameter: Parameter) -> Parameter:
    # A list cannot be a key; list and tuple take the same text.
    return (
        replace(parameter, default=tuple(parameter.default))
        if isinstance(parameter.default, list)
        else parameter
    )


def _told(parameter: Parameter, places: Iterable[str]) -> str:
    head = f"{parameter.name}: {parameter.takes}; default {tell_value(parameter.default)}"
    lines = _wrapped(head, "    ", first="")
    lines += _wrapped(parameter.help, "    ") if parameter.help else []
    return "\n".join(lines + _wrapped(f"[{', '.join(places)}]", "    "))


def _wrapped(text: str, indent: str, *, first: str | None = None) -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=indent if first is None else first,
        subsequent_indent=indent,
        break_on_hyphens=False,
    )
