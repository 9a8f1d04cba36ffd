"""The notebooks' parameters: read from each parameters cell, validated by pydantic, listed for a terminal.

A parameters cell holds lines of the form `videos: int = 3  # videos that are shown`, with name, type, default and help,
as `papermill.inspect_notebook` reads them; `CONSTRAINTS` holds the allowed values, by name.
"""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import Field, TypeAdapter, ValidationError

from dmlkit.errors import UsageError, nearest, one_line
from dmlkit.profiles import PROFILES

# Parameter → its type, narrowed to the values it may have, in every notebook that has it.
CONSTRAINTS: dict[str, object] = {
    "profile": Literal[tuple(PROFILES)],
    "seed": Annotated[int, Field(ge=0, le=2**32 - 1)],  # what numpy, Keras and TensorFlow all take
    "seeds": Annotated[int, Field(ge=1, le=20)],
    "videos": Annotated[int, Field(ge=1, le=20)],
    "faithfulness_videos": Annotated[int, Field(ge=2)],
    "ground_truth_videos": Annotated[int, Field(ge=1)],
}
# The same in every notebook → which option of the command gives it.
COMMON = {name: f"--{name}" for name in ("data", "profile", "seed", "seeds", "deterministic")}
COMMON["runs"] = "--out, the folder of the report"
TYPES = {each.__name__: each for each in (int, bool, list, tuple)}
TYPES |= {"str": Annotated[str, Field(min_length=1)], "float": Annotated[float, Field(allow_inf_nan=False)]}


@dataclass(frozen=True)
class Parameter:
    """One line of a parameters cell."""

    name: str
    type: str
    default: object
    help: str = ""

    @cached_property
    def _adapter(self) -> TypeAdapter:
        kind = self.type.removesuffix(" | None")
        types = TYPES | ({"str": str} if self.default == "" else {})
        annotation = CONSTRAINTS.get(self.name) or eval(kind, {"__builtins__": {}}, types)
        return TypeAdapter(annotation if kind == self.type else annotation | None)

    @property
    def values(self) -> str:
        """The values it takes, such as `int, 1 to 20` or `one of smoke, demo, full, paper`."""
        schema = self._adapter.json_schema()
        low, high = schema.get("minimum"), schema.get("maximum")
        if "enum" in schema:
            return f"one of {', '.join(schema['enum'])}"
        bounds = "" if low is None else f", at least {low}" if high is None else f", {low} to {high}"
        return self.type.replace(" | None", " or none") + bounds

    def convert(self, value: object) -> object:
        """A value of this parameter's type, from text of a command line or from a typed value."""
        plain = value
        if isinstance(value, str) and self.type.endswith(" | None") and value.lower() == "none":
            plain = None
        elif isinstance(value, str) and self.type.startswith(("list[", "tuple[")):
            plain = [each.strip() for each in value.split(",")]
        try:
            return self._adapter.validate_python(plain, strict=isinstance(plain, int | float))
        except ValidationError as error:
            hint = nearest(str(value), self._adapter.json_schema().get("enum", ()))
            message = f"The parameter {self.name!r} takes {self.values}. Received: {value!r}."
            raise UsageError(f"{message} {error.errors()[0]['msg']}.{hint}") from None


def read_parameters(source: str, *, where: str = "the parameters cell") -> tuple[Parameter, ...]:
    """The parameters of a cell's source, in its order."""
    form = "`name: type = value  # help`, of the type str, int, float, bool, or list or tuple of them, or one | None"
    found: dict[str, Parameter] = {}
    node, lines = None, source.encode().splitlines()
    try:
        for node in ast.parse(source).body:
            name, default = node.target.id, ast.literal_eval(node.value)
            help = lines[node.end_lineno - 1][node.end_col_offset :].decode().strip("# ")
            found[name] = Parameter(name, ast.unparse(node.annotation), default, help)
            found[name].convert(default)
    except UsageError as error:
        raise UsageError(f"A default in {where} is not allowed. {error}") from None
    except Exception as error:
        what = ast.unparse(node) if node else error
        raise UsageError(f"A line of {where} is not of the form {form}: {what}") from error
    return tuple(found.values())


def values_for(
    parameters: Iterable[Parameter], given: Mapping[str, object], *, notebook: str
) -> dict[str, object]:
    """The values among `given` that a notebook has parameters for, each of its parameter's type."""
    try:
        return {each.name: each.convert(given[each.name]) for each in parameters if each.name in given}
    except UsageError as error:
        raise UsageError(f"{notebook}: {error}") from None


def check_parameters(given: Mapping[str, object], notebooks: Mapping[str, Sequence[Parameter]]) -> None:
    """Check given parameters against those of the notebooks: names, types and allowed values."""
    known = sorted({each.name for parameters in notebooks.values() for each in parameters} - COMMON.keys())
    for name in given:
        if name in COMMON:
            raise UsageError(f"The parameter {name!r} is common to all notebooks: give it by {COMMON[name]}.")
        if name not in known:
            hint = f"{nearest(name, known)} There are: {', '.join(known) or 'none'}."
            raise UsageError(f"None of the notebooks {', '.join(notebooks)} has a parameter {name!r}.{hint}")
    for notebook, parameters in notebooks.items():
        values_for(parameters, given, notebook=notebook)


def read_parameter_file(path: Path) -> dict[str, object]:
    """Values of parameters from a YAML file: a mapping of names to plain values or lists of them."""
    form = "It holds a mapping such as `videos: 5`, a line a parameter."
    try:
        content = yaml.load(path.read_text(encoding="utf-8-sig"), Loader=yaml.BaseLoader) or {}
        values = TypeAdapter(dict[str, str | list[str]]).validate_python(content)
    except ValidationError as error:
        where = (*error.errors()[0]["loc"], "the file")[0]
        raise UsageError(
            f"The file of parameters {path}: {where} is no plain value or list. {form}"
        ) from None
    except (OSError, yaml.YAMLError, ValueError, RecursionError) as error:
        message = f"The file of parameters {path} cannot be read: {one_line(error)}. {form}"
        raise UsageError(message) from error
    return {name: None if value in ("", "~", "null") else value for name, value in values.items()}


def describe_parameters(notebooks: Mapping[str, Sequence[Parameter]]) -> str:
    """All parameters of some notebooks in lines of at most 80 characters; each is listed once."""
    places: dict[tuple, list[str]] = {}
    for notebook, parameters in notebooks.items():
        for each in parameters:
            line = f"{each.name}: {each.values}; default {as_text(each.default)}"
            places.setdefault((each.name, line, each.help), []).append(notebook)
    own = ["Parameters of the notebooks, given by -p NAME VALUE or by --params FILE.yaml:"]
    common = ["The same in every notebook, given by options:"]
    for (name, *lines), names in places.items():
        where = f"given by {COMMON[name]}" if name in COMMON else ", ".join(names)
        (common if name in COMMON else own).append(wrapped(*lines, f"[{where}]"))
    return "\n\n".join([*own, *common])


def wrapped(*paragraphs: str) -> str:
    """Paragraphs in lines of at most 80 characters, but for longer words; all but the first line indented."""
    wrap = textwrap.TextWrapper(76, break_on_hyphens=False, break_long_words=False).wrap
    return "\n    ".join(line for text in paragraphs for line in wrap(text))


def as_text(value: object) -> str:
    """A value as `-p` would take it."""
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return ",".join(map(as_text, value))
    return repr(value) if value == "" else str(value)
