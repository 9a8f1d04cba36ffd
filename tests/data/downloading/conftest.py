"""A server on this machine that lays YouTube-8M out as the real ones do, and misbehaves when it is told to."""

import gzip
import hashlib
import json
import random
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from dmlkit.data.downloading import Patience, download


def properly(answer, body, start):
    """Whole, or from a byte on."""
    answer.headed(body, start)
    answer.send(body[start:])


def cut(answer, body, start, *, after):
    answer.headed(body, start)
    answer.send(body[start:][:after])
    answer.hang_up()


def longer(answer, body, start, *, by):
    answer.headed(body, start, length=len(body) - start + by)
    answer.send(body[start:])
    answer.hang_up()


def told(answer, body, start, *, length):
    answer.headed(body, 0, length=length)
    answer.send(body)
    answer.hang_up()


def nothing_told(answer, body, start, *, after=None):
    """No length: the end of the connection is the end of the file."""
    answer.headed(body, start, length=None)
    answer.send(body[start:][:after])
    answer.hang_up()


def in_chunks(answer, body, start, *, after=None):
    answer.headed(body, start, length=None, more={"Transfer-Encoding": "chunked"})
    pieces = [body[at : at + 5000] for at in range(start, len(body), 5000)][:after]
    for piece in pieces:
        answer.send(b"%x\r\n%s\r\n" % (len(piece), piece))
    if after is None:
        answer.send(b"0\r\n\r\n")
    else:
        answer.hang_up()


def wrong(answer, body, start, *, at=0):
    properly(answer, body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :], start)


def whole(answer, body, start, *, after=None):
    """As though nobody had asked for a range."""
    answer.headed(body, 0)
    answer.send(body[:after])
    if after is not None:
        answer.hang_up()


def elsewhere(answer, body, start):
    """A range, but not the one that was asked for."""
    properly(answer, body, max(0, start - 10))


def status(answer, body, start, *, code, more=None):
    answer.headed(b"", 0, code=code, more=more)


def mute(answer, body, start):
    answer.server.over.wait(20)
    answer.hang_up()


def stall(answer, body, start, *, after):
    answer.headed(body, start)
    answer.send(body[start:][:after])
    mute(answer, body, start)


def trickle(answer, body, start):
    answer.headed(body, start)
    for at in range(start, len(body)):
        answer.send(body[at : at + 1])
        if answer.server.over.wait(0.02):
            return


def endless(answer, body, start, *, code=200, more=None, piece=b"\0" * 65536, length=None):
    answer.headed(body, 0, code=code, length=length, more=more)
    while not answer.server.over.is_set() and answer.server.sent < 2**28:
        answer.send(piece)


def bomb(answer, body, start):
    packed = gzip.compress(bytes(2**24))
    answer.headed(packed, 0, more={"Content-Encoding": "gzip"})
    answer.send(packed)


def rubbish(answer, body, start):
    answer.send(b"\x00\x01 this is no HTTP\r\n\r\n")
    answer.hang_up()


MANNERS = {
    function.__name__: function
    for function in (
        properly,
        cut,
        longer,
        told,
        nothing_told,
        in_chunks,
        wrong,
        whole,
        elsewhere,
        status,
        mute,
        stall,
        trickle,
        endless,
        bomb,
        rubbish,
    )
}


class Answer(BaseHTTPRequestHandler):
    """One request, answered by the manner that is set for its path."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        body = self.server.files.get(self.path)
        asked = self.headers.get("Range", "")
        self.server.asked.append((self.command, self.path, asked))
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        manners = self.server.manners.get((self.command, self.path), [])
        name, options = (manners.pop(0) if len(manners) > 1 else manners[0]) if manners else ("properly", {})
        # A client that hangs up is what many of the tests wait for.
        with suppress(OSError):
            if body is None and not manners:
                self.headed(b"", 0, code=404)
            elif start and start >= len(body or b"") and name in ("properly", "cut", "longer"):
                self.headed(b"", 0, code=416)
            else:
                MANNERS[name](self, body or b"", start, **options)

    do_HEAD = do_GET

    def headed(self, body, start, *, code=None, length=-1, more=None):
        self.send_response(code or (206 if start else 200))
        if length is not None:
            self.send_header("Content-Length", str(len(body) - start if length == -1 else length))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        for name, value in (more or {}).items():
            self.send_header(name, value)
        self.end_headers()

    def send(self, data):
        if self.command == "HEAD":
            return
        for at in range(0, len(data), 65536):
            self.wfile.write(data[at : at + 65536])
            self.server.sent += len(data[at : at + 65536])
            if self.server.pause:
                time.sleep(self.server.pause)

    def hang_up(self):
        self.close_connection = True

    def log_message(self, *arguments):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.files, self.manners, self.asked = {}, {}, []
        self.sent, self.pause = 0, 0.0
        self.over = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}"

    def lay_out(self, files, partition="2/video", split="train", plan=None):
        """Serve a split: its plan, and the files under their names on the server."""
        release, level = partition.split("/")
        plan = plan or {"files": {name: hashlib.md5(data).hexdigest() for name, data in files.items()}}
        text = plan if isinstance(plan, bytes) else json.dumps(plan).encode()
        self.files[f"/{release}/download_plans/{level}_{split}.json"] = text
        self.files |= {f"/{partition}/{split}/{name}": data for name, data in files.items()}

    def misbehave(self, name, *manners, path="/2/video/train/", command="GET"):
        """Answer the requests for a file in these manners, the last of them for ever: a name, or a name and options."""
        self.manners[command, path + name] = [
            (each, {}) if isinstance(each, str) else (each[0], each[1]) for each in manners
        ]

    def ranges(self, name):
        """What was asked for of a file, request by request."""
        return [span for method, path, span in self.asked if method == "GET" and path.endswith(name)]

    def handle_error(self, request, client_address):
        pass


@pytest.fixture
def server():
    with Server() as served:
        threading.Thread(target=served.serve_forever, args=(0.01,), daemon=True).start()
        yield served
        served.over.set()
        served.shutdown()


@pytest.fixture
def shards():
    """Three files of random bytes, under names of the real server."""
    chance = random.Random(7)
    return {f"train{ending}.tfrecord": chance.randbytes(300_000) for ending in ("aa", "aA", "99")}


# What their names become here: the place of the last two letters among all pairs of a-z, A-Z, 0-9.
HERE = {
    "trainaa.tfrecord": "train0000.tfrecord",
    "trainaA.tfrecord": "train0026.tfrecord",
    "train99.tfrecord": "train3843.tfrecord",
}


@pytest.fixture
def here(shards):
    """What the folder is to hold: name → bytes."""
    return {HERE[name]: data for name, data in shards.items()}


@pytest.fixture
def impatient():
    return Patience(attempts=3, timeout=0.4, first_wait=0.01, longest_wait=0.02)


@pytest.fixture
def out(tmp_path):
    return tmp_path / "target" / "data"


@pytest.fixture
def get(server, out, impatient):
    """`download` from the server into `out`, with little patience."""

    def fetch(**asked):
        conditions = {"splits": ["train"], "mirror": server.url, "patience": impatient, "progress": "silent"}
        return download(asked.pop("partition", "2/video"), out, **conditions | asked)

    return fetch


@pytest.fixture
def held(out):
    """What is in the folder for everybody to see: name → bytes."""

    def read():
        return {path.name: path.read_bytes() for path in out.iterdir() if not path.name.startswith(".")}

    return read
