"""The process itself: imports at first use, Keras's settings, TensorFlow's start-up, Ctrl-C, threads, versions."""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import json
import logging
import multiprocessing
import os
import platform
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from itertools import starmap

from dmlkit.errors import DataError, UsageError, shorten

PACKAGES = ("dmlkit", "keras", "tensorflow", "numpy", "pandas")
SIGNALS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}


@contextmanager
def quiet_startup() -> Iterator[None]:
    """Drop what C++ writes to standard error during the first import of TensorFlow."""
    if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3") == "0":
        yield
        return
    logging.getLogger("tensorflow").addFilter(_is_news)
    kept = os.dup(2)
    nothing = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)


def _is_news(record: logging.LogRecord) -> bool:
    return "triggered tf.function retracing" not in record.getMessage()


def import_lazily(package: str, homes: Mapping[str, Sequence[str]]) -> tuple[Callable, Callable, list[str]]:
    """A package's `__getattr__`, `__dir__` and `__all__`, for names that are imported when first used.

    Args:
        package: The package's name.
        homes: Module of the package → the names it offers; its own name among them means the module.
    """
    home_of = {name: home for home, names in homes.items() for name in names}
    names = sorted(home_of)

    def get(name: str) -> object:
        if name not in home_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        with quiet_startup():
            module = importlib.import_module(f"{package}.{home_of[name]}")
        value = module if name == home_of[name] else getattr(module, name)
        setattr(sys.modules[package], name, value)
        return value

    return get, lambda: names, names


def import_with_keras(follower: str) -> None:
    """Import the module `follower` as soon as Keras has been imported, now or later.

    Settings under which it cannot be are then a `UsageError`.
    """
    if sys.modules.get("keras"):
        importlib.import_module(follower)
        return

    class Finder:
        def find_spec(self, fullname: str, path: object, target: object = None):
            if fullname != "keras":
                return None
            sys.meta_path.remove(self)
            spec = importlib.util.find_spec("keras")
            sys.meta_path.insert(0, self)  # TensorFlow looks for Keras so, long before it imports it
            if spec is not None:
                execute = spec.loader.exec_module
                spec.loader.exec_module = lambda module: self.execute(execute, module)
            return spec

        def execute(self, execute: Callable, module: object) -> None:
            try:
                check_keras()
                execute(module)
                if module.config.backend() == "jax":  # a device that is not there shows here
                    module.ops.zeros(())
            except UsageError:
                raise
            except Exception as error:
                raise UsageError(
                    f"Keras cannot be imported ({type(error).__name__}: {shorten(error, 300)}). Set KERAS_BACKEND="
                    "tensorflow where another backend is named, correct keras.json, or install what is missing."
                ) from error
            sys.meta_path.remove(self)
            importlib.import_module(follower)

    sys.meta_path.insert(0, Finder())


_TENSORFLOW = "KERAS_BACKEND=tensorflow"
# Setting of Keras → the values it may have, what is wrong with others, and what to do.
_KERAS: dict[str, tuple[tuple, str]] = {
    "backend": (
        ("tensorflow", "jax", "torch"),
        f"dmlkit runs on tensorflow, and scores on jax and torch. Set {_TENSORFLOW}",
    ),
    "floatx": (
        ("float32",),
        "models compute in float32. Set that; --precision mixed_float16 trains in 16 bits",
    ),
    "epsilon": ((1e-7,), "layers would compute other numbers. Make it 1e-07"),
    "image_data_format": (("channels_last", "channels_first"), 'Keras stops. Make it "channels_last"'),
    "max_epochs": ((None,), "every training would end early. Take it away"),
    "max_steps_per_epoch": ((None,), "every epoch would end early. Take it away"),
}
_VARIABLES = {f"KERAS_{name.upper()}": name for name in ("backend", "max_epochs", "max_steps_per_epoch")}


def check_keras(*, training: bool = False) -> None:
    """Raise `UsageError` for settings under which Keras does not start, or computes other than models expect.

    Before it is imported, they are those it will read: variables of the environment, and its file keras.json. A
    `training` takes place on TensorFlow alone.
    """
    for name, (value, place) in _keras_settings().items():
        choices, problem = _KERAS.get(name, ((value,), ""))
        if name == "backend" and value in choices:
            if importlib.util.find_spec(value) is None:
                choices, problem = (), f"that package is not installed. Set {_TENSORFLOW}, or install {value}"
            elif training and value != "tensorflow":
                choices, problem = (), f"training runs on TensorFlow alone. Set {_TENSORFLOW}"
        if value not in choices:
            raise UsageError(f"Keras's setting {name} is {shorten(repr(value))}, by {place}, and {problem}.")


def _keras_settings() -> dict[str, tuple[object, str]]:
    """Setting of Keras → its value, and where that comes from."""
    folder = "~" if os.access(os.path.expanduser("~"), os.W_OK) else "/tmp"  # as Keras does
    file = os.path.expanduser(os.path.join(os.environ.get("KERAS_HOME", f"{folder}/.keras"), "keras.json"))
    settings: dict[str, tuple] = {"backend": ("tensorflow", "its own default")}
    try:
        if os.path.exists(file):
            with open(file, encoding="utf-8") as opened:
                settings |= {name: (value, f"the file {file}") for name, value in json.load(opened).items()}
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise UsageError(
            f"The settings of Keras in {file} cannot be read ({shorten(error, 200)}). Correct the file or delete it: "
            "Keras then writes its own."
        ) from None
    for variable, name in _VARIABLES.items():
        if value := os.environ.get(variable):
            settings[name] = value, f"the environment variable {variable}"
    if config := getattr(sys.modules.get("keras"), "config", None):  # imported: some may have been set since
        for name in _KERAS:
            value = getattr(config, name)()
            if value != settings.get(name, (None,))[0]:
                settings[name] = value, "keras.config"
    return settings


@contextmanager
def signals_handled(handler: Callable | signal.Handlers, *numbers: int) -> Iterator[None]:
    """Handle signals by `handler`, then as before; ignored ones stay ignored. Does nothing outside the main thread."""
    main = threading.current_thread() is threading.main_thread()
    former = {number: signal.getsignal(number) for number in numbers if main}
    former = {number: was for number, was in former.items() if was not in (signal.SIG_IGN, None)}
    for number in former:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number, was in former.items():
            signal.signal(number, was)


class Stop:
    """A request to stop, from any thread or a signal handler; the first reason counts."""

    reason: str | None = None

    def ask(self, reason: str = "interrupted") -> None:
        """Request the stop. No lock is taken: a signal handler would wait for its own thread."""
        self.reason = self.reason or reason


@contextmanager
def stop_on_signals(stop: Stop) -> Iterator[None]:
    """The first Ctrl-C or SIGTERM requests the stop, as `interrupted` or `terminated`; the second acts as before."""

    def ask(number: int, frame: object) -> None:
        former_handlers.close()
        stop.ask(SIGNALS[number])

    with ExitStack() as former_handlers:
        former_handlers.enter_context(signals_handled(ask, *SIGNALS))
        yield


# One thread in each of several processes: numpy's libraries and TensorFlow read these when they are imported.
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_ONE_THREAD += ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")


def in_processes(function: Callable, tasks: Sequence[tuple], jobs: int, *, advice: str) -> Iterator:
    """What a function returns for each task (its arguments), in their order, computed in so many processes of one
    thread each; 0: in this process.

    They end when the caller stops, or however its process ends. Raises what the function does; `DataError`, with the
    `advice`, where a process dies.
    """
    if not jobs or not tasks:
        yield from starmap(function, tasks)
        return
    others, done = multiprocessing.active_children(), 0
    # Not forked: TensorFlow may run threads in this process.
    context = multiprocessing.get_context("spawn")
    executor = ProcessPoolExecutor(min(jobs, len(tasks)), mp_context=context, initializer=_watch_parent)
    before = {name: os.environ.get(name) for name in _ONE_THREAD}
    try:
        # A terminal's Ctrl-C reaches every process; only this one handles it.
        with signals_handled(signal.SIG_IGN, signal.SIGINT):
            os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
            futures = [executor.submit(function, *task) for task in tasks]  # the first starts all processes
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
        for future in futures:
            yield future.result()
            done += 1
    except BrokenProcessPool as error:
        what = f"A worker process died near {tasks[done][0]}, perhaps for lack of memory"
        raise DataError(f"{what}. {advice}") from error
    finally:
        for child in set(multiprocessing.active_children()) - set(others):
            child.kill()
        executor.shutdown(wait=False)


def _watch_parent() -> None:
    """In a worker: end with the process that started it, however that ends."""

    def watch() -> None:
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def threads() -> int:
    """How many threads share an operation: as set in TensorFlow or its environment, else the cores of this process."""
    import tensorflow as tf

    configured = tf.config.threading.get_intra_op_parallelism_threads()
    variable = os.environ.get("TF_NUM_INTRAOP_THREADS", "")
    return configured or (int(variable) if variable.isdigit() else 0) or cores()


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def versions() -> dict[str, str]:
    """Python and the packages that decide the numbers."""
    return {"python": platform.python_version()} | {name: version_of(name) for name in PACKAGES}


@functools.cache
def version_of(package: str) -> str:
    """The installed version of a package."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed as a package"
