"""A server of YouTube-8M's layout on this machine, which cuts, stalls and sends wrong bytes on request."""

import gzip
import hashlib
import json
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Answer(BaseHTTPRequestHandler):
    """One request; `server.faults` lists what happens to the next ones for a path, the last of them to all others."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.requests.append((self.command, self.path))
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
    """Path → bytes in `files`; every request in `requests`."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.files, self.faults, self.requests, self.over = {}, {}, [], threading.Event()
        self.sent, self.url = 0, f"http://127.0.0.1:{self.server_port}"

    def lay_out(self, files, partition="2/video", split="train", plan=None):
        """Serve a split: its plan, and the files under their names on the server."""
        release, level = partition.split("/")
        plan = plan or {"files": {name: hashlib.md5(data).hexdigest() for name, data in files.items()}}
        text = plan if isinstance(plan, bytes) else json.dumps(plan).encode()
        self.files[f"/{release}/download_plans/{level}_{split}.json"] = text
        self.files |= {f"/{partition}/{split}/{name}": data for name, data in files.items()}

    def fetched(self):
        """The shards requested since the last call."""
        paths = [path for method, path in self.requests if method == "GET" and path.endswith(".tfrecord")]
        self.requests.clear()
        return sorted(path.rpartition("/")[2] for path in paths)

    def handle_error(self, request, client_address):
        pass
