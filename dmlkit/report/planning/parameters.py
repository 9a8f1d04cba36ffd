"""A notebook's parameters cell, read without a kernel: names, types, defaults and help."""

from __future__ import annotations

import ast
import io
import math
import tokenize
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from dmlkit.errors import UsageError, nearest
from dmlkit.report.planning.allowed import Allowed, Choice, read_allowed, split_comment


def _finite(value: str | float) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(value)
    return number


def _truth(text: str) -> bool:
    values = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    return values[text.lower()]


# A type that a parameter may have → (what it takes, in words; text → value).
TYPES: dict[str, tuple[str, Callable[[str], object]]] = {
    "str": ("text", str),
    "int": ("a whole number", int),
    "float": ("a number", _finite),
    "bool": ("true or false", _truth),
}
SEQUENCES = {"list": list, "tuple": tuple}


@dataclass(frozen=True)
class Parameter:
    """One line of a parameters cell.

    Args:
        name: The variable.
        type: Its annotation: `str`, `int`, `float` or `bool`, `list[...]` or `tuple[..., ...]` of one of them,
            each also `| None`.
        default: The value that stands in the cell.
        help: The comment on its line, without the bracket at its end.
        allowed: What that bracket says (see `dmlkit.report.planning.allowed`); None where there is none.
    """

    name: str
    type: str
    default: object
    help: str
    allowed: Allowed | None = None

    @property
    def takes(self) -> str:
        """What it takes, in words: `a whole number, 1 to 20, or none`."""
        sequence, item, optional = self._parts()
        # Of text, the choices say all.
        words = [] if isinstance(self.allowed, Choice) else [TYPES[item][0]]
        words += [str(self.allowed)] if self.allowed else []
        words += ["several parted by commas"] if sequence else []
        return ", ".join(words + (["or none"] if optional else []))

    def convert(self, value: object) -> object:
        """A value of this parameter's type, from text of a command line or from a typed value.

        Raises:
            UsageError: The value is not of the type, or not allowed.
        """
        sequence, item, optional = self._parts()
        if optional and (value is None or (isinstance(value, str) and value.lower() == "none")):
            return None
        if not sequence:
            return self._checked(value, item, of=value)
        items = [each.strip() for each in value.split(",")] if isinstance(value, str) else value
        if not isinstance(items, list | tuple):
            raise self._wrong(repr(value))
        return SEQUENCES[sequence](self._checked(each, item, of=value) for each in items)

    def _checked(self, value: object, kind: str, *, of: object) -> object:
        empty = isinstance(value, str) and not value.strip()
        # Where an author's default is no text, none is meant; elsewhere it is a slip of the command line.
        if kind == "str" and self.allowed is None and empty and value != self.default:
            raise self._wrong("nothing" if isinstance(of, str) and not of.strip() else repr(of))
        try:
            converted = _item(value, kind)
        except (ValueError, TypeError, KeyError):
            raise self._wrong(repr(of)) from None
        if self.allowed is not None and converted not in self.allowed:
            raise self._wrong(repr(of), self.allowed.hint(value))
        return converted

    def _wrong(self, received: str, hint: str = "") -> UsageError:
        return UsageError(
            f"The parameter {self.name!r} takes {self.takes} ({self.type}). Received: {received}.{hint}"
        )

    def _parts(self) -> tuple[str | None, str, bool]:
        """The sequence (or None), the type of a single value, and whether None is a value too."""
        kind = self.type.removesuffix(" | None")
        sequence = kind.split("[")[0] if "[" in kind else None
        item = kind[len(sequence) + 1 : -1].removesuffix(", ...") if sequence else kind
        return sequence, item, kind != self.type


def _item(value: object, kind: str) -> object:
    if isinstance(value, str):
        return TYPES[kind][1](value)
    if kind == "float" and type(value) in (int, float):
        return _finite(value)
    if type(value).__name__ != kind:
        raise TypeError(kind)
    return value


def read_parameters(source: str, *, where: str = "the parameters cell") -> tuple[Parameter, ...]:
    """The parameters of a cell's source, in its order.

    Args:
        source: Lines of the form `epochs: int = 12  # passes over the training part`.
        where: What to call the cell in a message.

    Raises:
        UsageError: A line is of another form, or its type or default is not a plain one.
    """
    try:
        lines = ast.parse(source).body
    except SyntaxError as error:
        raise UsageError(f"{where} cannot be read: {error.msg}, in line {error.lineno}.") from error
    comments = _comments(source)
    parameters = tuple(_parameter(line, comments.get(line.end_lineno, ""), where=where) for line in lines)
    names = [parameter.name for parameter in parameters]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"The parameter {name!r} stands in {where} twice.")
    return parameters


def _parameter(line: ast.stmt, comment: str, *, where: str) -> Parameter:
    if not (isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name) and line.value):
        raise UsageError(
            f"Line {line.lineno} of {where} is not of the form `name: type = value  # help`: {ast.unparse(line)}"
        )
    parameter = Parameter(
        name=line.target.id, type=ast.unparse(line.annotation), default=_literal(line, where), help=comment
    )
    sequence, item, _ = parameter._parts()
    if item not in TYPES or sequence not in (None, *SEQUENCES):
        raise UsageError(
            f"The parameter {parameter.name!r} in {where} has the type {parameter.type}, which no command line can "
            f"give. There are {', '.join(TYPES)}, list[...] and tuple[..., ...] of them, and each of these | None."
        )
    if isinstance(parameter.default, str) and not (sequence is None and item == "str"):
        raise UsageError(
            f"The default of {parameter.name!r} in {where} is not {parameter.takes} ({parameter.type})."
        )
    try:
        help, bracket = split_comment(comment)
        allowed = None if bracket is None else read_allowed(bracket, item)
    except ValueError as error:
        raise UsageError(
            f"The comment of {parameter.name!r} in {where} does not say which values are allowed: {error}. "
            f"Received: {comment}"
        ) from None
    parameter = replace(parameter, help=help, allowed=allowed)
    try:
        parameter.convert(parameter.default)
    except UsageError as error:
        raise UsageError(f"A default in {where} is not allowed. {error}") from None
    return parameter


def _literal(line: ast.AnnAssign, where: str) -> object:
    try:
        return ast.literal_eval(line.value)
    except ValueError as error:
        raise UsageError(
            f"The default in line {line.lineno} of {where} is not a plain value: {ast.unparse(line)}"
        ) from error


def _comments(source: str) -> dict[int, str]:
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {
        token.start[0]: token.string.lstrip("# ").rstrip()
        for token in tokens
        if token.type == tokenize.COMMENT
    }


def check_names(given: Iterable[str], known: Iterable[str]) -> None:
    """Hold the names of parameters against those there are.

    Raises:
        UsageError: A name is unknown; the message has the nearest.
    """
    known = sorted(set(known))
    for name in given:
        if name not in known:
            there = f"There are: {', '.join(known)}." if known else "The notebooks have none of their own."
            raise UsageError(f"No notebook has a parameter {name!r}.{nearest(name, known)} {there}")


def values_for(
    parameters: Iterable[Parameter], given: Mapping[str, object], *, notebook: str
) -> dict[str, object]:
    """The values among `given` that a notebook has parameters for, each of its parameter's type.

    Raises:
        UsageError: A value is not of the type.
    """
    values = {}
    for parameter in parameters:
        if parameter.name in given:
            try:
                values[parameter.name] = parameter.convert(given[parameter.name])
            except UsageError as error:
                raise UsageError(f"{notebook}: {error}") from None
    return values
