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
import re
import sys
import traceback
import types
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
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


def load_plugins(files: Iterable[str | os.PathLike] = ()) -> None:
    """Add files to those that the environment variable names, and execute each once; `UsageError` if one cannot be."""
    named = [*os.environ.get(VARIABLE, "").split(os.pathsep), *map(os.fspath, files)]
    if paths := dict.fromkeys(os.path.abspath(each) for each in named if each):
        os.environ[VARIABLE] = os.pathsep.join(paths)
        for package in ("models", "experiments"):  # their tables are there before a plugin is executed
            importlib.import_module(f"dmlkit.{package}")
    for file in paths:
        if file not in _loaded:
            _loaded[file] = _load(file)


def loaded_plugins() -> dict[str, str]:
    """The name of each plugin's file → the digest of its content."""
    return {os.path.basename(file): digest for file, digest in _loaded.items()}


def _load(file: str) -> str:
    """Execute a plugin, check what it adds, and return its digest."""
    before = {what: dict(table.entries) for what, table in _tables.items()}
    name = f"dmlkit_plugin_{Path(file).stem}"
    module = sys.modules[name] = types.ModuleType(name)
    try:
        source = Path(file).read_bytes()
    except OSError as error:
        raise UsageError(f"The plugin {file} cannot be read ({error.strerror}). {NAMED}") from None
    try:
        # Compiled here: Python's cache goes by times, and could execute another content than that of the digest.
        exec(compile(source, file, "exec"), vars(module))
    except (Exception, SystemExit) as error:
        lines = re.findall(f'"{re.escape(file)}", (line [0-9]+)', traceback.format_exc())
        place = f", {lines[-1]}," if lines else ""
        reason = f"{type(error).__name__}: {shorten(error, 300)}"
        raise UsageError(f"The plugin {file}{place} cannot be executed ({reason}). Correct it.") from error
    digest = _digest(source)
    for what, table in _tables.items():
        for name, entry in table.entries.items():
            if before[what].get(name, entry) is not entry:
                table.entries[name] = before[what][name]
                raise UsageError(f"The plugin {file} replaces the {what} {name!r}. Use another name.")
            if what == "experiment" and getattr(entry, "name", None) != name:
                raise UsageError(
                    f"The plugin {file}: EXPERIMENTS[{name!r}] must be an Experiment of that name."
                )
            if name not in before[what]:
                table.plugins[name] = entry, os.path.basename(file), digest
    if all(before[what] == table.entries for what, table in _tables.items()):
        tables = "FUSIONS, ENCODERS, POOLINGS, CLASSIFIERS, FRAME_CLASSIFIERS or EXPERIMENTS"
        warnings.warn(f"The plugin {file} adds nothing to {tables}.", stacklevel=3)
    return digest


def _digest(source: bytes) -> str:
    return hashlib.sha256(source).hexdigest()[:16]


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
