"""One request to a server that need not mean well.

It is asked over http and https only, and never led from https back to http. What it answers is bounded in length and
in time, and is taken as it comes: a body that says it is packed is refused, so that a few bytes cannot unfold into a
disk full.
"""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urljoin, urlsplit

import requests
import urllib3

from dmlkit.text import shorten

MOST_REDIRECTS = 5
CHUNK = 2**20
SLOWEST = 1024  # bytes a second; slower than this for a whole time-out is as good as nothing
LONGEST_ASKED = 300.0  # seconds that a server's Retry-After may make one wait
# What another attempt may mend.
PASSING = (408, 425, 429, 500, 502, 503, 504)


@dataclass(frozen=True)
class Patience:
    """How long one bears with a server.

    Attributes:
        attempts: How many in a row may bring a file nothing new.
        timeout: Seconds without an answer, or with next to no bytes of one.
        first_wait: Seconds before the second attempt; then twice as long each time.
        longest_wait: Seconds between two attempts at most, where the server asks for no more.
    """

    attempts: int = 6
    timeout: float = 30.0
    first_wait: float = 1.0
    longest_wait: float = 60.0

    def wait(self, fruitless: int) -> float:
        """Seconds to wait after so many attempts that brought nothing."""
        return min(self.longest_wait, self.first_wait * 2.0 ** (fruitless - 1))


class Failed(Exception):
    """An attempt that did not bring what was asked for.

    Attributes:
        passing: Another attempt may end better.
        wait: Seconds that the server asked to wait.
    """

    def __init__(self, reason: str, *, passing: bool, wait: float = 0.0):
        super().__init__(reason)
        self.passing = passing
        self.wait = wait


class _Session(requests.Session):
    def get_redirect_target(self, resp):
        """None: requests reads the body of a redirect whole and unpacks it, whether it follows or not; we follow."""


new_session: Callable[[], requests.Session] = _Session


@contextmanager
def asked(
    session: requests.Session, url: str, *, timeout: float, start: int = 0, method: str = "GET"
) -> Iterator[requests.Response]:
    """The answer to a request, its body still unread.

    Args:
        session: Keeps the connection for the next request.
        url: The address.
        timeout: Seconds to wait for a connection, and for each piece of the answer.
        start: The first byte that is wanted; the server may send all of them nevertheless (status 200).
        method: Of the request.

    Raises:
        Failed: No answer came, or one that is not to be used. Statuses other than 200, 206 and 416 are such.
    """
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
    for _ in range(1 + MOST_REDIRECTS):
        with _patiently():
            response = session.request(
                method, url, headers=headers, timeout=timeout, stream=True, allow_redirects=False
            )
        with response:
            if response.status_code in (301, 302, 303, 307, 308):
                url = _led_to(url, response.headers.get("Location", ""))
                continue
            _check(response)
            yield response
            return
    raise Failed(f"the server redirects more than {MOST_REDIRECTS} times", passing=False)


def body(response: requests.Response, *, most: int, timeout: float) -> Iterator[bytes]:
    """The body piece by piece, undecoded.

    Raises:
        Failed: It is longer than `most`, ends before its end, or comes too slowly.
    """
    taken = 0
    since, then = time.monotonic(), 0
    while True:
        with _patiently():
            # What has come so far rather than a full piece, which a slow server could take for ever to fill. It is
            # also the way of reading in which each line between pieces is bounded.
            piece = response.raw.read1(CHUNK, decode_content=False)
        if not piece:
            return
        taken += len(piece)
        if taken > most:
            raise Failed(f"the server sends more than {most:,} bytes", passing=False)
        yield piece
        now = time.monotonic()
        if now - since > timeout:
            if taken - then < SLOWEST * (now - since):
                raise Failed(f"fewer than {SLOWEST:,} bytes a second came", passing=True)
            since, then = now, taken


def length(response: requests.Response) -> int | None:
    """How many bytes the server says its body has."""
    told = response.headers.get("Content-Length", "")
    return int(told) if told.isascii() and told.isdecimal() and len(told) < 20 else None


def read_small(session: requests.Session, url: str, *, most: int, patience: Patience) -> bytes:
    """A small file as a whole, tried again like any other.

    Raises:
        Failed: It cannot be had.
    """
    for fruitless in range(1, patience.attempts + 1):
        try:
            with asked(session, url, timeout=patience.timeout) as response:
                return b"".join(body(response, most=most, timeout=patience.timeout))
        except Failed as failed:
            if not failed.passing or fruitless == patience.attempts:
                raise
            time.sleep(max(failed.wait, patience.wait(fruitless)))
    raise AssertionError("the last attempt returns or raises")


@contextmanager
def _patiently() -> Iterator[None]:
    """What the libraries raise, from a refused connection to a malformed header, as `Failed`."""
    try:
        yield
    except (requests.exceptions.InvalidSchema, requests.exceptions.InvalidURL, UnicodeError) as error:
        raise Failed(f"the address cannot be used: {shorten(error, 120)}", passing=False) from error
    except (requests.Timeout, urllib3.exceptions.TimeoutError, TimeoutError) as error:
        raise Failed("no answer in time", passing=True) from error
    except urllib3.exceptions.IncompleteRead as error:
        raise Failed("the connection ended before the file did", passing=True) from error
    except (OSError, ValueError, http.client.HTTPException, urllib3.exceptions.HTTPError) as error:
        raise Failed(f"the connection failed ({shorten(_innermost(error), 120)})", passing=True) from error


def _innermost(error: BaseException) -> str:
    """What happened at the bottom: `[Errno 111] Connection refused`, without the libraries' wrappings."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return str(error) or type(error).__name__


def _led_to(url: str, location: str) -> str:
    try:
        target = urljoin(url, location)
        scheme = urlsplit(target).scheme
    except ValueError:
        target, scheme = location, None
    if scheme not in ("http", "https") or (scheme == "http" and url.startswith("https:")):
        raise Failed(f"the server redirects to {shorten(target, 80)!r}, which is not followed", passing=False)
    return target


def _check(response: requests.Response) -> None:
    status = response.status_code
    if status not in (200, 206, 416):
        raise Failed(
            f"the server answers {status} {shorten(response.reason or '', 40)}".rstrip(),
            passing=status in PASSING,
            wait=_retry_after(response.headers.get("Retry-After", "")),
        )
    packed = response.headers.get("Content-Encoding", "identity").strip().lower()
    if packed not in ("", "identity"):
        raise Failed(f"the server sends it packed ({shorten(packed)}) though asked not to", passing=False)


def _retry_after(told: str) -> float:
    """Seconds, from seconds or a date; 0 where neither is to be read off."""
    try:
        seconds = float(told) if told.strip().isdecimal() else _until(parsedate_to_datetime(told))
    except (ValueError, TypeError, OverflowError):
        return 0.0
    return min(max(0.0, seconds), LONGEST_ASKED)


def _until(moment: datetime) -> float:
    return (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
