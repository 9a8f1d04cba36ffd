"""Parts and experiments that users add to the package's tables, and plugins: the files that add them.

A plugin is a Python file that the user names with `--plugin` or in the environment variable DMLKIT_PLUGINS, which
passes it on to the kernels of a report. Nothing else is loaded: a run's record holds the name and the digest of a
plugin only for comparison.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import os
import sys
import traceback
import types
import warnings
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from dmlkit.errors import UsageError, shorten

VARIABLE = "DMLKIT_PLUGINS"  # paths, separated as in PATH
NAMED = "Name Python files with --plugin, or in DMLKIT_PLUGINS."


class _Table(NamedTuple):
    entries: dict  # as it is, with what users add
    package: Mapping  # the package's own entries
    plugins: dict  # name → (entry, file, digest), for those of plugins


_tables: dict[str, _Table] = {}
_loaded: dict[str, str] = {}  # path → digest


def make_extensible(what: str, entries: dict) -> None:
    """Let users add entries to a table. The last word of `what` is the field of an `Experiment` that names one."""
    _tables[what] = _Table(entries, dict(entries), {})


def name_plugins(files: Iterable[str | os.PathLike] = ()) -> list[str]:
    """Add files to those that the environment variable names, as absolute paths; all of them are returned."""
    named = [*os.environ.get(VARIABLE, "").split(os.pathsep), *map(os.fspath, files)]
    if paths := list(dict.fromkeys(os.path.abspath(each) for each in named if each)):
        os.environ[VARIABLE] = os.pathsep.join(paths)
    return paths


def load_plugins() -> None:
    """Execute the files that the environment variable names, each once; a `UsageError` for one that cannot be used."""
    if not (files := name_plugins()):
        return
    for package in ("models", "experiments"):  # their tables are there before a plugin is executed
        importlib.import_module(f"dmlkit.{package}")
    for file in files:
        if file not in _loaded:
            _loaded[file] = _load(file)


def loaded_plugins() -> dict[str, str]:
    """The name of each plugin's file → the digest of its content."""
    return {os.path.basename(file): digest for file, digest in _loaded.items()}


def _digest(source: bytes) -> str:
    return hashlib.sha256(source).hexdigest()[:16]


def _load(file: str) -> str:
    """Execute a plugin, check what it adds, and return its digest."""
    try:
        with open(file, "rb") as opened:
            source = opened.read()
    except OSError as error:
        raise UsageError(f"The plugin {file} cannot be read ({error.strerror}). {NAMED}") from None
    # Compiled here: Python's cache goes by times, and could execute another content than that of the digest.
    name = f"dmlkit_plugin_{os.path.splitext(os.path.basename(file))[0]}"
    module = sys.modules[name] = types.ModuleType(name)
    try:
        exec(compile(source, file, "exec"), vars(module))
    except (Exception, SystemExit) as error:
        places = [(each.filename, each.lineno) for each in traceback.extract_tb(error.__traceback__)]
        places.append((getattr(error, "filename", None), getattr(error, "lineno", None)))  # of a SyntaxError
        lines = [line for path, line in places if path == file and line]
        place = f", line {lines[-1]}," if lines else ""
        reason = f"{type(error).__name__}: {shorten(getattr(error, 'msg', None) or error, 300)}"
        raise UsageError(
            f"The plugin {file}{place} cannot be executed ({reason}). Correct the file."
        ) from error
    added = 0
    for what, table in _tables.items():
        known = table.package | {name: entry for name, (entry, *_) in table.plugins.items()}
        for name, entry in table.entries.items():
            if name in known and known[name] is not entry:
                table.entries[name] = known[name]
                raise UsageError(f"The plugin {file} replaces the {what} {name!r}. Use another name.")
            if name not in known:
                _check(what, name, entry, like=next(iter(table.package.values())), file=file)
                table.plugins[name] = entry, os.path.basename(file), _digest(source)
                added += 1
    if not added:
        tables = "FUSIONS, ENCODERS, POOLINGS, CLASSIFIERS, FRAME_CLASSIFIERS or EXPERIMENTS"
        warnings.warn(f"The plugin {file} adds nothing to {tables}.", stacklevel=3)
    return _digest(source)


def _check(what: str, name: str, entry: object, *, like: object, file: str) -> None:
    """Refuse an entry that cannot be called as the table's others are, or an experiment under another name."""
    if what == "experiment":
        if getattr(entry, "name", None) != name:
            raise UsageError(f"The plugin {file}: EXPERIMENTS[{name!r}] must be an Experiment of that name.")
        return
    signature = inspect.signature(like)
    arguments = {each.name: each.kind is each.KEYWORD_ONLY for each in signature.parameters.values()}
    positional = [each for each, by_keyword in arguments.items() if not by_keyword]
    try:
        inspect.signature(entry).bind(*positional, **{each: None for each in arguments if arguments[each]})
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"The {what} {name!r} of the plugin {file} must be a function of {signature}: {error}."
        ) from None


def added_parts(experiment) -> list[dict]:
    """The parts of an experiment that are not the package's, as its run's record holds them.

    Keys: `part` and `name`; `plugin`, the name of the plugin's file, None for a part added in a notebook or script;
    `digest` of the plugin, or of the part's own source.
    """
    rows = []
    for what, table in _tables.items():
        name = getattr(experiment, what.split()[-1], None)
        entry = table.entries.get(name)
        if entry is not table.package.get(name):
            from_plugin, plugin, digest = table.plugins.get(name, (None, None, None))
            if entry is not from_plugin:
                plugin, digest = None, _digest(_source(entry))
            rows.append({"part": what, "name": name, "plugin": plugin, "digest": digest})
    return rows


def _source(entry: object) -> bytes:
    try:
        return inspect.getsource(entry).encode()
    except (OSError, TypeError):  # typed at a prompt, or no function
        return getattr(getattr(entry, "__code__", None), "co_code", b"")


def check_plugins(rows: Iterable[Mapping], *, run: object) -> None:
    """Raise a `UsageError` where a run was trained with a plugin that is not loaded; warn where it has changed."""
    loaded = loaded_plugins()
    for row in rows:
        plugin, what = row["plugin"], f"the {row['part']} {row['name']!r} of the plugin {row['plugin']}"
        if plugin is None or row["digest"] in loaded.values():
            continue
        if plugin not in loaded:
            raise UsageError(f"{run} was trained with {what}, which is not loaded. {NAMED}")
        warnings.warn(f"{run} was trained with {what}, whose content has changed since.", stacklevel=4)
