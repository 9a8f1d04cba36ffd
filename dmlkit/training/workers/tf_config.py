"""Who takes part: the environment variable TF_CONFIG, read and checked before TensorFlow sees it."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass

from dmlkit.errors import UsageError

VARIABLE = "TF_CONFIG"
JOBS = ("chief", "worker")
EXAMPLE = '{"cluster": {"worker": ["host0:12345", "host1:12345"]}, "task": {"type": "worker", "index": 0}}'


@dataclass(frozen=True)
class Cluster:
    """The workers of a training, and which of them this process is.

    Args:
        addresses: `host:port` of each, the chief first.
        index: Of this process, from 0; 0 is the chief.
    """

    addresses: tuple[str, ...]
    index: int

    @property
    def address(self) -> str:
        """This process's own."""
        return self.addresses[self.index]


def read_cluster(environment: Mapping[str, str] = os.environ) -> Cluster:
    """The cluster that TF_CONFIG names.

    Where it names no chief, worker 0 is the chief, as for TensorFlow.

    Raises:
        UsageError: There is no TF_CONFIG, or it cannot be what was meant.
    """
    text = environment.get(VARIABLE, "").strip()
    if not text:
        raise UsageError(
            f"Training over several workers needs the environment variable {VARIABLE} on each of them, and it is not "
            f"set here. For the first of two: {VARIABLE}='{EXAMPLE}'"
        )
    try:
        told = json.loads(text)
    except ValueError as error:
        raise _wrong(f"it is not JSON ({error})") from error
    cluster, task = (_table(told, name) for name in ("cluster", "task"))
    if others := sorted(set(cluster) - set(JOBS)):
        raise _wrong(
            f"its cluster has tasks of type {', '.join(others)}, and here there are only {' and '.join(JOBS)}: "
            "every worker evaluates its part"
        )
    for job in JOBS:
        addresses = cluster.get(job, [])
        if not isinstance(addresses, list) or not all(_is_address(address) for address in addresses):
            raise _wrong(f"cluster.{job} must be a list of host:port, not {addresses!r}")
    if len(cluster.get("chief", [])) > 1:
        raise _wrong("it names more than one chief")
    addresses = tuple(address for job in JOBS for address in cluster.get(job, []))
    if len(set(addresses)) < len(addresses):
        raise _wrong("two of its workers have the same address")
    job, index = task.get("type"), task.get("index")
    if job not in JOBS:
        raise _wrong(f"task.type must be one of {', '.join(JOBS)}, not {job!r}")
    # JSON's true is a whole number to Python.
    if isinstance(index, bool) or not isinstance(index, int):
        raise _wrong(f"task.index must be a whole number, not {index!r}")
    if not 0 <= index < len(cluster.get(job, [])):
        raise _wrong(
            f"task.index is {index}, and cluster.{job} has {len(cluster.get(job, []))} "
            "(they are counted from 0)"
        )
    return Cluster(addresses, addresses.index(cluster[job][index]))


def workers_named(environment: Mapping[str, str] = os.environ) -> int:
    """How many workers TF_CONFIG names; 0 where there is none, or one that cannot be read."""
    try:
        return len(read_cluster(environment).addresses)
    except UsageError:
        return 0


def check_port(address: str) -> None:
    """See that the port is free, as TensorFlow only says that its server did not start.

    Raises:
        UsageError: Another program has it.
    """
    port = int(address.rpartition(":")[2])
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind(("", port))
        except OSError as error:
            raise UsageError(
                f"The port of this worker, {address}, cannot be had ({error.strerror}). Is a worker of an earlier "
                f"training still running? End it, or give the worker another port in the {VARIABLE} of all workers."
            ) from error


def _is_address(text) -> bool:
    host, _, port = text.rpartition(":") if isinstance(text, str) else ("", "", "")
    return bool(host) and port.isdecimal() and 0 < int(port) < 65536


def _table(told, name: str) -> dict:
    table = told.get(name) if isinstance(told, dict) else None
    if not isinstance(table, dict):
        raise _wrong(f"it has no {name!r}, or one that is no table")
    return table


def _wrong(why: str) -> UsageError:
    return UsageError(f"The environment variable {VARIABLE} cannot be used: {why}. An example: {EXAMPLE}")
