"""TF_CONFIG: what is meant by it, and what is told of one that cannot be used."""

import json
import socket

import pytest

import dmlkit
from dmlkit.errors import UsageError
from dmlkit.training.workers.tf_config import check_port, read_cluster, workers_named

TWO = {"worker": ["a:1", "b:2"]}


def config(cluster, type="worker", index=0):
    return {"TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": type, "index": index}})}


@pytest.mark.parametrize(
    ("environment", "addresses", "index"),
    [
        (config(TWO, index=1), ("a:1", "b:2"), 1),
        (config({"worker": ["a:1", "b:2"], "chief": ["c:3"]}, index=1), ("c:3", "a:1", "b:2"), 2),
        (config({"worker": ["a:1"], "chief": ["c:3"]}, type="chief"), ("c:3", "a:1"), 0),
        (config({"worker": ["[::1]:80"]}), ("[::1]:80",), 0),
    ],
)
def test_the_chief_comes_first(environment, addresses, index):
    cluster = read_cluster(environment)
    assert (cluster.addresses, cluster.index, cluster.address) == (addresses, index, addresses[index])
    assert workers_named(environment) == len(addresses)


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({}, "it is not set here"),
        ({"TF_CONFIG": "  "}, "it is not set here"),
        ({"TF_CONFIG": "{"}, "it is not JSON"),
        ({"TF_CONFIG": "[]"}, "it has no 'cluster'"),
        ({"TF_CONFIG": '{"cluster": {}}'}, "it has no 'task'"),
        (config({"worker": "a:1"}), "cluster.worker must be a list of host:port"),
        (config({"worker": ["a"]}), "cluster.worker must be a list of host:port"),
        (config({"worker": ["a:0"]}), "cluster.worker must be a list of host:port"),
        (config({"worker": ["a:70000"]}), "cluster.worker must be a list of host:port"),
        (config({"worker": [7]}), "cluster.worker must be a list of host:port"),
        (config({"worker": ["a:1", "a:1"]}), "the same address"),
        (config({"worker": ["a:1"], "chief": ["b:1", "c:1"]}), "more than one chief"),
        (config({"worker": ["a:1"], "ps": ["b:1"]}), "tasks of type ps"),
        (config(TWO, type="evaluator"), "task.type must be one of chief, worker, not 'evaluator'"),
        (config(TWO, type="chief"), "task.index is 0, and cluster.chief has 0"),
        (config(TWO, index=2), "task.index is 2, and cluster.worker has 2"),
        (config(TWO, index=-1), "task.index is -1"),
        (config(TWO, index=True), "task.index must be a whole number"),
        (config(TWO, index="0"), "task.index must be a whole number"),
    ],
)
def test_what_cannot_be_used_is_told(environment, said):
    with pytest.raises(UsageError) as told:
        read_cluster(environment)
    assert said in str(told.value)
    assert "TF_CONFIG" in str(told.value)
    assert workers_named(environment) == 0


def test_a_port_that_is_taken_is_told():
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        address = f"localhost:{taken.getsockname()[1]}"
        with pytest.raises(UsageError, match="cannot be had"):
            check_port(address)
    check_port(address)


def test_nobody_trains_alone_who_was_told_of_others(generated, tmp_path, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", config(TWO)["TF_CONFIG"])
    with pytest.raises(UsageError, match="names 2 workers"):
        dmlkit.train("lr", data=generated, out=tmp_path / "run", profile="smoke", progress="silent")


def test_an_unknown_strategy_lists_the_choices(generated, tmp_path):
    with pytest.raises(UsageError, match="mirrored, multi-worker"):
        dmlkit.train("lr", data=generated, out=tmp_path / "run", profile="smoke", strategy="mirored")
