"""Values of parameters from a YAML file: a mapping of names to plain values, each with the line it stands in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml

from dmlkit.errors import UsageError

_NULL, _TEXT, _LIST = (f"tag:yaml.org,2002:{name}" for name in ("null", "str", "seq"))
# What a plain scalar may be taken for. Its text is kept as it was written all the same: the parameter's type decides
# what it is, where YAML 1.1 would make 1e-3 text, 012 ten, `no` false and 2026-01-01 a date.
_SCALARS = {f"tag:yaml.org,2002:{name}" for name in ("null", "str", "int", "float", "bool", "timestamp")}
_FORM = "It holds a mapping such as `videos: 5`, a line a parameter."


@dataclass(frozen=True)
class Given:
    """Values of parameters, and where each one stands.

    Args:
        values: Name → text, a list of texts, or None.
        origins: Name → `params.yaml, line 3`; of those that a file gave.
    """

    values: dict[str, object]
    origins: dict[str, str]


def read_parameter_file(path: Path) -> Given:
    """Read a file of parameters.

    Every value is the text that was written, whatever YAML would take it for; `null`, `~` and nothing are None.

    Args:
        path: The file; an empty one gives nothing.

    Raises:
        UsageError: The file is missing, is no UTF-8 or no YAML, or holds something else than plain values by name.
    """
    text = _text(path)
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        raise _not_yaml(path, text, error) from error
    except yaml.reader.ReaderError as error:
        raise _forbidden(path, text, error.position) from error
    except (yaml.YAMLError, RecursionError) as error:
        told = " ".join(str(error).split())
        raise UsageError(f"The file of parameters {path} is not YAML: {told}. {_FORM}") from error
    if root is None or (isinstance(root, yaml.ScalarNode) and root.tag == _NULL):
        return Given({}, {})
    if not isinstance(root, yaml.MappingNode):
        raise _error(path, root, f"this is {_kind(root)}, not a mapping. {_FORM}")
    given = Given({}, {})
    for key, value in root.value:
        name = _name(path, key)
        if name in given.values:
            raise _error(
                path, key, f"{name!r} is given already, in {given.origins[name]}. Keep one of the two."
            )
        given.values[name] = _value(path, name, value)
        given.origins[name] = _place(path, key)
    return given


def _text(path: Path) -> str:
    try:
        # A byte order mark, which some editors write, is no part of the text.
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"The file of parameters {path} is not UTF-8 text (byte {error.start}). Save it as UTF-8."
        ) from error
    except (OSError, ValueError) as error:  # a name with a null byte is a ValueError
        told = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"The file of parameters {path} cannot be read: {told}.") from error


def _forbidden(path: Path, text: str, position: int) -> UsageError:
    line = text.count("\n", 0, position) + 1
    column = position - text.rfind("\n", 0, position)
    return UsageError(
        f"The file of parameters {path} is not YAML: the character {text[position]!r} is not allowed, in line {line}, "
        f"column {column}. {_FORM}"
    )


def _not_yaml(path: Path, text: str, error: yaml.MarkedYAMLError) -> UsageError:
    lines = text.splitlines()
    mark = error.problem_mark or error.context_mark
    # Where something was never closed, that is noticed behind the last line; where it began tells more.
    if mark.line >= len(lines) and error.context_mark:
        mark = error.context_mark
    line = min(mark.line, len(lines) - 1)
    told = " ".join(part for part in (error.context, error.problem) if part)
    return UsageError(
        f"The file of parameters {path} is not YAML: {told}, in line {line + 1}, column {mark.column + 1}: "
        f"{lines[line]!r}. {_FORM}"
    )


def _name(path: Path, key: yaml.Node) -> str:
    if not isinstance(key, yaml.ScalarNode) or key.tag != _TEXT:
        what = repr(key.value) if isinstance(key, yaml.ScalarNode) else _kind(key)
        raise _error(path, key, f"{what} is not the name of a parameter. {_FORM}")
    return key.value


def _value(path: Path, name: str, node: yaml.Node) -> object:
    if isinstance(node, yaml.SequenceNode) and node.tag == _LIST:
        return [_scalar(path, name, item) for item in node.value]
    return _scalar(path, name, node)


def _scalar(path: Path, name: str, node: yaml.Node) -> str | None:
    if not isinstance(node, yaml.ScalarNode) or node.tag not in _SCALARS:
        raise _error(
            path,
            node,
            f"the value of {name!r} is {_kind(node)}. A parameter takes a plain value or a list of them.",
        )
    return None if node.tag == _NULL else node.value


def _kind(node: yaml.Node) -> str:
    plain = {"tag:yaml.org,2002:map": "a mapping", _LIST: "a list"} | dict.fromkeys(
        _SCALARS, "a single value"
    )
    return plain.get(node.tag, f"of the tag {node.tag}")


def _place(path: Path, node: yaml.Node) -> str:
    return f"{path}, line {node.start_mark.line + 1}"


def _error(path: Path, node: yaml.Node, told: str) -> UsageError:
    return UsageError(f"{_place(path, node)}: {told}")
