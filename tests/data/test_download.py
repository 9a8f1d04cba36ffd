"""`download` from a server on this machine that cuts, lies, stalls and sends wrong bytes when it is told to."""

import gzip
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import types
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from dmlkit.data.download import Client, IncompleteDownload, download
from dmlkit.errors import DataError, UsageError
from dmlkit.files import file_lock

TRAIN = "/2/video/train/"


class Answer(BaseHTTPRequestHandler):
    """One request; `server.faults` says what happens to the next ones for a path, the last of them to all others."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.asked.append((self.command, self.path))
        faults = self.server.faults.get(self.path, [None]) if self.command == "GET" else [None]
        fault = faults.pop(0) if len(faults) > 1 else faults[0]
        body = self.server.files.get(self.path)
        self.send_response(fault if isinstance(fault, int) else 404 if body is None else 200)
        body = b"" if isinstance(fault, int) or body is None else body
        body = {"wrong": b"x" + body[1:], "bomb": gzip.compress(bytes(2**20))}.get(fault, body)
        headers = {"Content-Length": len(body), "Location": "file:///etc/hostname"}
        if fault == "bomb":
            headers["Content-Encoding"] = "gzip"
        if fault == "endless":
            del headers["Content-Length"]
        for name, value in headers.items():
            self.send_header(name, str(value))
        self.end_headers()
        with suppress(OSError):  # a client that hangs up
            if self.command == "GET":
                self.wfile.write(body[:1000] if fault in ("cut", "stall") else body)
            while fault == "endless" and not self.server.over.is_set() and self.server.sent < 2**28:
                self.server.sent += self.wfile.write(bytes(65536))
        if fault == "stall":
            self.server.over.wait(20)
        self.close_connection = fault is not None

    do_HEAD = do_GET

    def log_message(self, *arguments):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.files, self.faults, self.asked, self.over = {}, {}, [], threading.Event()
        self.sent, self.url = 0, f"http://127.0.0.1:{self.server_port}"

    def lay_out(self, files, partition="2/video", split="train", plan=None):
        """Serve a split: its plan, and the files under their names on the server."""
        release, level = partition.split("/")
        plan = plan or {"files": {name: hashlib.md5(data).hexdigest() for name, data in files.items()}}
        text = plan if isinstance(plan, bytes) else json.dumps(plan).encode()
        self.files[f"/{release}/download_plans/{level}_{split}.json"] = text
        self.files |= {f"/{partition}/{split}/{name}": data for name, data in files.items()}

    def fetched(self):
        """The shards asked for since the last time."""
        names = [path.rpartition("/")[2] for method, path in self.asked if method == "GET" and TRAIN in path]
        self.asked.clear()
        return sorted(names)

    def handle_error(self, request, client_address):
        pass


@pytest.fixture
def server():
    with Server() as served:
        threading.Thread(target=served.serve_forever, args=(0.01,), daemon=True).start()
        yield served
        served.over.set()
        served.shutdown()


# Names on the server → names here: the index of the last two letters among all pairs of a-z, A-Z, 0-9.
HERE = {"trainaa.tfrecord": "train0000.tfrecord", "trainaA.tfrecord": "train0026.tfrecord"}
HERE |= {"train99.tfrecord": "train3843.tfrecord"}


@pytest.fixture
def shards(server):
    chance = random.Random(7)
    files = {name: chance.randbytes(300_000) for name in HERE}
    server.lay_out(files)
    return files


@pytest.fixture
def here(shards):
    return {HERE[name]: data for name, data in shards.items()}


@pytest.fixture
def out(tmp_path):
    return tmp_path / "target" / "data"


@pytest.fixture
def get(server, out, monkeypatch):
    """`download` from the server into `out`, with little patience."""
    monkeypatch.setattr("pooch.core.time", types.SimpleNamespace(sleep=lambda seconds: None))

    def fetch(partition="2/video", **options):
        defaults = {"splits": ["train"], "mirror": server.url, "retries": 2, "timeout": 5}
        return download(partition, out, **defaults | options)

    return fetch


@pytest.fixture
def held(out):
    """What is in the folder, hidden files aside: name → bytes."""
    return lambda: {path.name: path.read_bytes() for path in out.iterdir() if not path.name.startswith(".")}


def test_every_file_is_fetched_verified_and_remembered(server, get, held, here, out):
    assert get().fetched == 3 and held() == here and len(server.fetched()) == 3
    assert get().fetched == 0 and server.fetched() == []
    found = out / "train0000.tfrecord"
    before = found.stat()
    found.write_bytes(bytes([found.read_bytes()[0] ^ 1]) + found.read_bytes()[1:])
    os.utime(found, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert get().fetched == 0 and held() != here  # size and time are the same
    assert get(verify=True).fetched == 1 and held() == here


def test_in_the_end_the_bytes_are_right(server, shards, here, get, held, out):
    for faults in (["cut", None], ["wrong", "cut", None], ["stall", 503, None]):
        server.faults[TRAIN + "trainaa.tfrecord"], attempts = faults, len(faults)
        (out / "train0000.tfrecord").unlink(missing_ok=True)
        assert get(timeout=1).fetched >= 1 and held() == here
        assert server.fetched().count("trainaa.tfrecord") == attempts


def test_what_cannot_be_had_is_reported_and_leaves_nothing(server, get, held, here, out, monkeypatch):
    monkeypatch.setattr("dmlkit.data.download.LARGEST_FILE", 4 << 20)
    rest = {name: data for name, data in here.items() if name != "train0000.tfrecord"}
    for fault, reason, attempts in (
        ("wrong", "MD5", 3),
        ("cut", "IncompleteRead", 3),
        (404, "404", 1),
        (500, "500", 3),
        (302, "302", 1),
        ("bomb", "compressed", 1),
        ("endless", "more than 4,194,304 bytes", 1),
    ):
        server.faults[TRAIN + "trainaa.tfrecord"] = [fault]
        with pytest.raises(IncompleteDownload, match=r"1 of 3 files .* same command") as error:
            get()
        assert reason in error.value.missing.pop("train0000.tfrecord") and not error.value.missing
        assert server.fetched().count("trainaa.tfrecord") == attempts and server.sent < 2**26
        assert held() == rest and not [path for path in out.iterdir() if path.is_dir()]
    server.faults.clear()
    assert get().fetched == 1 and held() == here


def test_files_fetched_by_other_means(server, get, held, here, out, shards, tmp_path):
    out.mkdir(parents=True)
    (out / "trainaa.tfrecord").write_bytes(shards["trainaa.tfrecord"])  # the name on the server
    (out / "train0026.tfrecord").write_bytes(b"somebody's work")
    with pytest.raises(IncompleteDownload, match="--replace"):
        get()
    assert held()["train0026.tfrecord"] == b"somebody's work" and server.fetched() == ["train99.tfrecord"]
    target = tmp_path / "elsewhere"
    target.write_bytes(b"not to be touched")
    (out / "train0026.tfrecord").unlink()
    (out / "train0026.tfrecord").symlink_to(target)
    get(replace=True)
    assert held()["train0026.tfrecord"] == here["train0026.tfrecord"] and "train0000.tfrecord" not in held()
    assert target.read_bytes() == b"not to be touched"


def test_shares_and_numbers_are_the_official_downloaders(server, get, held):
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
    official = [f"train{a}{b}.tfrecord" for a in letters for b in letters]
    names = official[::97]
    server.lay_out({name: name.encode() for name in names})
    seen = set()
    for part in (1, 2, 3):
        get(shards=f"{part}/3")
        found = {data.decode() for data in held().values()}
        share = {n for n in names if int(hashlib.md5(n.encode()).hexdigest(), 16) % 3 == part - 1}
        assert found - seen == share
        seen = found
    assert held() == {f"train{official.index(name):04}.tfrecord": name.encode() for name in names}
    with pytest.raises(UsageError, match="holds no file"):
        get(shards="1/100000")


def test_splits_share_a_folder_and_levels_do_not(server, shards, get, held, out):
    server.lay_out({"validateaa.tfrecord": b"v"}, split="validate")
    server.lay_out({"trainaa.tfrecord": b"f"}, partition="2/frame")
    server.files["/2/vocabulary.csv"] = b"Index,Name\n3861,last\n"
    done = get(splits=["validate", "train"])
    assert (done.files, done.notes) == (4, ()) and "vocabulary.csv" in held()
    with pytest.raises(IncompleteDownload, match="not the plan's"):
        get(partition="2/frame")
    with pytest.raises(DataError, match=r"video_test\.json.*404"):
        get(splits=[])
    (out / "vocabulary.csv").unlink()
    server.files["/2/vocabulary.csv"] = b"Index,Name\n17,last\n"
    (note,) = get().notes
    assert "names 18 classes of 3,862" in note and "vocabulary.csv" not in held()


def test_a_plan_that_is_none(server, get, out, tmp_path):
    names = ["../train.tfrecord", "/etc/train.tfrecord", "trainaa.tfrecord.exe", "trainaa.tfrecord\n"]
    names += ["validateaa.tfrecord", ".tfrecord"]
    plans = [{name: "0" * 32} for name in names]
    plans += [{"trainaa.tfrecord": "0" * 31}, {"trainaa.tfrecord": None}, {}, ["trainaa.tfrecord"]]
    plans += [{"trainab.tfrecord": "0" * 32, "train0001.tfrecord": "0" * 32}]  # one file here
    for plan in [*({"files": files} for files in plans), b"<html>not found</html>", b"[" * 100_000]:
        server.lay_out({}, plan=plan)
        with pytest.raises(DataError, match="plan"):
            get()
    assert [path.name for path in tmp_path.iterdir()] == ["target"]
    assert not [path for path in out.rglob("*") if path.suffix == ".tfrecord"]


def test_the_disk_is_asked_first_and_may_be_full(server, shards, get, held, here, monkeypatch, capsys):
    monkeypatch.setattr("shutil.disk_usage", lambda folder: types.SimpleNamespace(free=800_000))
    with pytest.raises(UsageError, match=r"3 to fetch \(about 900 kB\); 800 kB free\..*--any-size"):
        get(progress=True)
    assert "2/video train 1/1: 3 files, 0 of them in" in capsys.readouterr().out
    fetch = Client.fetch

    def full(client, url, **options):
        if "trainaa" in url:
            raise OSError(28, "No space left on device")
        return fetch(client, url, **options)

    monkeypatch.setattr(Client, "fetch", full)
    with pytest.raises(UsageError, match=r"No space left on device\. The same"):
        get(any_size=True, jobs=1)
    monkeypatch.setattr(Client, "fetch", fetch)
    assert get(any_size=True).files == 3 and held() == here


def test_names_are_checked_before_anything_is_asked(server, get, out):
    for options, message in (
        ({"partition": "2/vido"}, "Did you mean '2/video'"),
        ({"partition": "2/video/train", "splits": ["test"]}, "is the split 'train'"),
        ({"splits": ["tset"]}, "Did you mean 'test'"),
        ({"shards": "0/3"}, "is not a share"),
        ({"shards": "half"}, "is not a share"),
        ({"mirror": "mars"}, "Unknown mirror"),
        ({"mirror": "ftp://host/x"}, "Unknown mirror"),
        ({"mirror": "http://user:secret@host"}, "netrc"),
    ):
        with pytest.raises(UsageError, match=message):
            get(**options)
    assert not server.asked and not out.exists()


def test_one_download_a_folder(shards, get, out):
    out.mkdir(parents=True)
    with (
        file_lock(out / ".dmlkit-download.lock", taken=lambda holder: None),
        pytest.raises(UsageError, match=r"process \d+ .* is downloading"),
    ):
        get()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_stopped_it_continues(server, shards, held, here, out, how):
    def started():
        command = [sys.executable, "-m", "dmlkit.cli", "data", "download", "2/video/train", str(out)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen([*command, "--mirror", server.url], **pipes)

    server.faults[TRAIN + "trainaa.tfrecord"] = ["stall", None]
    process, end = started(), time.monotonic() + 30
    while time.monotonic() < end and not (out.exists() and len(held()) == 2):
        time.sleep(0.02)
    process.send_signal(how)
    _, said = process.communicate(timeout=20)
    assert process.returncode == (130 if how == signal.SIGINT else -9)
    assert how == signal.SIGKILL or said.strip().endswith("the same command continues where it stopped.")
    server.fetched()
    process = started()
    printed, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (0, "") and held() == here
    assert printed.splitlines()[-1] == f"Complete and verified in {out}: 3 files, 1 of them new."
    assert server.fetched() == ["trainaa.tfrecord"] and not [path for path in out.iterdir() if path.is_dir()]
