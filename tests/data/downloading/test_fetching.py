"""A server that does not mean well, file by file: what is right in the end, what is told, and that nothing is left."""

import errno
import os
import resource
import signal
import threading
import time
from email.utils import formatdate

import pytest

from dmlkit.data.downloading import IncompleteDownload, Patience, fetching
from dmlkit.data.downloading.asking import LONGEST_ASKED, Failed, _led_to, _retry_after
from dmlkit.errors import UsageError

NAME, HERE = "trainaa.tfrecord", "train0000.tfrecord"
PART = f".{HERE}.part"


@pytest.fixture
def data(shards):
    return shards[NAME]


@pytest.fixture
def one(server, data):
    """Lay out one file, answered in these manners."""

    def lay_out(*manners):
        server.lay_out({NAME: data})
        server.misbehave(NAME, *manners)

    return lay_out


# What ends well, with the ranges that were asked for.
MENDED = {
    "cut twice": ([("cut", {"after": 100_000})] * 2 + ["properly"], ["", "bytes=100000-", "bytes=200000-"]),
    "cut, again and again": (
        [("cut", {"after": 70_000})],
        ["", *(f"bytes={n}-" for n in (70000, 140000, 210000, 280000))],
    ),
    "cut at once": ([("cut", {"after": 0}), "properly"], ["", ""]),
    "told too long": ([("longer", {"by": 1000})], [""]),
    "told nothing": (["nothing_told"], [""]),
    "told nothing and cut": ([("nothing_told", {"after": 100_000}), "properly"], ["", ""]),
    "told rubbish": ([("told", {"length": "-5"})], [""]),
    "in chunks": (["in_chunks"], [""]),
    "in chunks and cut": ([("in_chunks", {"after": 20}), "properly"], ["", "bytes=100000-"]),
    "a wrong byte once": ([("wrong", {"at": 5}), "properly"], ["", ""]),
    "a wrong byte in what continues": (
        [("cut", {"after": 100_000}), ("wrong", {"at": 200_000}), "properly"],
        ["", "bytes=100000-", ""],
    ),
    "ranges unknown": ([("cut", {"after": 100_000}), "whole"], ["", "bytes=100000-"]),
    "another range": ([("cut", {"after": 100_000}), "elsewhere", "properly"], ["", "bytes=100000-", ""]),
    "too late a range": (
        [("cut", {"after": 100_000}), ("status", {"code": 416}), "properly"],
        ["", "bytes=100000-", ""],
    ),
    "busy": ([("status", {"code": 503}), ("status", {"code": 429}), "properly"], ["", "", ""]),
    "stalled": ([("stall", {"after": 100_000}), "properly"], ["", "bytes=100000-"]),
    "mute": (["mute", "properly"], ["", ""]),
    "trickling": (["trickle", "properly"], None),
    "no HTTP": (["rubbish", "properly"], ["", ""]),
    "redirected": ([("status", {"code": 302, "more": {"Location": "/moved"}})], [""]),
}


@pytest.mark.parametrize("what", MENDED)
def test_in_the_end_the_bytes_are_right(server, one, data, get, held, out, what):
    manners, asked = MENDED[what]
    server.files["/moved"] = data
    one(*manners)
    get()
    assert held() == {HERE: data}
    assert asked is None or server.ranges(NAME) == asked
    assert not (out / PART).exists()


def test_what_is_whole_needs_no_second_attempt(server, get, held):
    server.lay_out({NAME: b"small"})
    server.misbehave(NAME, ("longer", {"by": 1000}))
    get(patience=Patience(attempts=1, timeout=0.4))
    assert held() == {HERE: b"small"}


# What does not, with what is told and the most requests it may take.
HOPELESS = {
    "not found": (("status", {"code": 404}), "404 Not Found", 1),
    "forbidden": (("status", {"code": 403}), "403 Forbidden", 1),
    "no such status": (("status", {"code": 299}), "299", 1),
    "a part that was not asked for": (("status", {"code": 206}), "answers 206 to a plain request", 3),
    "always busy": (("status", {"code": 503}), "503 Service Unavailable; 3 attempts", 3),
    "always wrong": (("wrong", {"at": 299_999}), "has not the MD5 of the plan", 4),
    "told too short": (("told", {"length": 299_999}), "has not the MD5 of the plan", 4),
    "told too long a file": (("told", {"length": 2**62}), "more than any shard has", 1),
    "always mute": ("mute", "no answer in time; 3 attempts", 3),
    "packed": ("bomb", r"sends it packed \(gzip\)", 1),
    "redirected to a file": (
        ("status", {"code": 302, "more": {"Location": "file:///etc/passwd"}}),
        "redirects to 'file:///etc/passwd', which is not followed",
        1,
    ),
    "redirected to nowhere": (
        ("status", {"code": 301, "more": {"Location": "http://[::1"}}),
        "is not followed",
        1,
    ),
    "redirected in a circle": (
        ("status", {"code": 307, "more": {"Location": f"/2/video/train/{NAME}"}}),
        "redirects more than 5 times",
        6,
    ),
    "no HTTP": ("rubbish", "the connection failed", 3),
}


@pytest.mark.parametrize("what", HOPELESS)
def test_what_cannot_be_had_is_told_and_leaves_nothing(server, one, get, held, what):
    manner, why, requests = HOPELESS[what]
    one(manner)
    with pytest.raises(IncompleteDownload, match=why):
        get()
    assert held() == {}
    assert len(server.ranges(NAME)) <= requests


def test_a_file_that_was_right_stays_where_a_new_one_cannot_be_had(server, one, data, get, held, out):
    one("properly")
    get()
    server.misbehave(NAME, ("wrong", {"at": 1}))
    (out / HERE).write_bytes(data[:-1])
    with pytest.raises(IncompleteDownload):
        get()
    assert held() == {HERE: data[:-1]}
    server.misbehave(NAME, "properly")
    get()
    assert held() == {HERE: data}


def test_what_has_come_is_kept_for_the_next_call(server, one, data, get, held, out):
    one(("cut", {"after": 100_000}), ("status", {"code": 404}))
    with pytest.raises(IncompleteDownload):
        get()
    assert (out / PART).read_bytes() == data[:100_000]
    server.misbehave(NAME, "properly")
    get()
    assert server.ranges(NAME) == ["", "bytes=100000-", "bytes=100000-"]
    assert held() == {HERE: data} and not (out / PART).exists()


@pytest.mark.parametrize("kept", [b"another release's bytes", bytes(400_000), b""])
def test_a_part_of_something_else_is_found_out(server, one, data, get, held, out, kept):
    one("properly")
    out.mkdir(parents=True)
    (out / PART).write_bytes(kept)
    get()
    assert held() == {HERE: data}


def test_a_part_that_is_whole_needs_no_request(server, one, data, get, held, out):
    one("properly")
    out.mkdir(parents=True)
    (out / PART).write_bytes(data)
    get()
    assert held() == {HERE: data} and server.ranges(NAME) == []


def test_a_part_of_what_came_by_other_means_is_taken_away(one, data, get, out):
    one("properly")
    out.mkdir(parents=True)
    (out / PART).write_bytes(data[:1000])
    (out / HERE).write_bytes(data)
    get()
    assert not (out / PART).exists()


@pytest.mark.parametrize(
    "manner",
    [
        ("endless", {}),
        ("endless", {"code": 302, "more": {"Location": "/moved"}}),
        ("endless", {"code": 302, "more": {"Location": "/moved", "Content-Encoding": "gzip"}}),
        ("endless", {"code": 404}),
        ("endless", {"more": {"Transfer-Encoding": "chunked"}, "piece": b"1" * 65536}),
        ("endless", {"more": {"Transfer-Encoding": "chunked"}, "piece": b"1;" + b"x" * 65536}),
    ],
)
def test_nothing_endless_is_read(server, one, get, held, out, monkeypatch, manner):
    # What a shard may have at most, made small enough for a test.
    monkeypatch.setattr(fetching, "LARGEST_FILE", 2**22)
    one(manner)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(IncompleteDownload):
        get()
    assert (
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**16
    )  # kB, of which the server sends 2**18
    assert server.sent < 2**26
    assert sum(path.stat().st_size for path in out.iterdir()) <= 2**22 + 2**20
    assert held() == {}


@pytest.mark.parametrize("told", ["1", "date"])
def test_a_server_may_ask_to_wait(one, data, get, held, told):
    when = "1" if told == "1" else formatdate(time.time() + 2, usegmt=True)
    one(("status", {"code": 503, "more": {"Retry-After": when}}), "properly")
    before = time.monotonic()
    get()
    assert held() == {HERE: data} and time.monotonic() - before > 0.9


def test_nobody_waits_for_ever():
    assert [_retry_after(told) for told in ("999999999", "-5", "soon", "", "nan", "1e9")] == [
        LONGEST_ASKED,
        0,
        0,
        0,
        0,
        0,
    ]
    assert _retry_after("Fri, 31 Dec 9999 23:59:59 GMT") == LONGEST_ASKED
    assert [Patience().wait(times) for times in (1, 2, 3, 20)] == [1, 2, 4, 60]


def plant_link(path, outside):
    path.symlink_to(outside)


def plant_name(path, outside):
    os.link(outside, path)


def plant_pipe(path, outside):
    os.mkfifo(path)


@pytest.mark.parametrize("plant", [plant_link, plant_name, plant_pipe])
@pytest.mark.parametrize("name", [HERE, PART, ".dmlkit-download.jsonl"])
def test_what_stands_in_the_folder_leads_nowhere_else(one, data, get, held, out, tmp_path, plant, name):
    outside = tmp_path / "precious"
    outside.write_bytes(b"precious")
    out.mkdir(parents=True)
    plant(out / name, outside)
    one("properly")
    if name == HERE:
        with pytest.raises(IncompleteDownload, match="what stands there"):
            get()
        if plant is plant_pipe:  # never replaced: it is no file
            return
        get(replace=True)
    else:
        get()
    assert held() == {HERE: data} and outside.read_bytes() == b"precious"
    assert not (out / HERE).is_symlink()


def test_a_link_to_the_right_bytes_will_do(server, one, data, get, out, tmp_path):
    elsewhere = tmp_path / "store.tfrecord"
    elsewhere.write_bytes(data)
    out.mkdir(parents=True)
    (out / HERE).symlink_to(elsewhere)
    one("properly")
    get()
    assert (out / HERE).is_symlink() and server.ranges(NAME) == []


def test_a_full_disk_ends_it_and_the_same_call_goes_on(one, data, get, held, out, monkeypatch):
    one("properly")

    class Full(fetching.Part):
        def add(self, piece):
            if self.size + len(piece) > 150_000:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            super().add(piece)

    with monkeypatch.context() as patch:
        patch.setattr(fetching, "Part", Full)
        patch.setattr("dmlkit.data.downloading.asking.CHUNK", 50_000)
        with pytest.raises(
            UsageError, match=r"is full; 1 of 1 files are missing\. Make room: the same command"
        ):
            get()
    assert held() == {}
    get()
    assert held() == {HERE: data}


def test_an_interruption_ends_the_threads_too(server, shards, get):
    server.lay_out(shards)
    server.pause = 0.6  # so that it would go on for three seconds
    before = set(threading.enumerate())
    threading.Timer(0.7, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        get()
    assert not [thread for thread in set(threading.enumerate()) - before if "take" in thread.name]


def test_no_server_leads_from_https_back_to_http():
    # A server with a certificate that is believed cannot be had here, so the one function is asked.
    assert _led_to("https://a/b/c", "../d") == "https://a/d"
    with pytest.raises(Failed, match="redirects to 'http://a/d', which is not followed"):
        _led_to("https://a/b/c", "http://a/d")
