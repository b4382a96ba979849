"""Sends one request and reads its answer: no redirects, no retries, no cookies, no proxies or credentials from the environment."""

import io
from collections.abc import Mapping
from contextlib import closing
from time import monotonic
from typing import Any
from urllib.parse import urljoin

import requests
from urllib3.exceptions import HTTPError

from app.egress.address import checked, origin
from app.egress.errors import EgressError, Late, Refused, TooLarge, Unanswered, Unreached
from app.egress.guard import Guard
from app.egress.reply import Reply
from app.egress.wiring import Exchange, Wiring, trust

CONNECT_SECONDS = 5.0
USER_AGENT = "Atelier/0.1"
_HEADERS = {"User-Agent": USER_AGENT, "Accept": "*/*", "Accept-Encoding": "gzip", "Connection": "close"}
_CHUNK = 64 << 10
_MOST_HOPS = 3
_REDIRECTS = {301, 302, 303, 307, 308}
_CONTENT = frozenset({"params", "json", "data", "files"})
# What we ask for, and what urllib3 reads in bounded steps; one of them, never one in another.
_ENCODINGS = {"", "identity", "gzip", "x-gzip", "deflate"}


class Egress:
    """The way out.

    `allow` are the private places that addresses from outside may name all the same; `authorities` is a PEM
    file of those who sign the certificates of the operator's own servers, believed beside the usual ones.
    """

    def __init__(self, allow: tuple[str, ...] = (), authorities: str | None = None) -> None:
        self._guard = Guard(allow)
        self._trusted = trust(authorities)

    def send(
        self,
        method: str,
        url: str,
        *,
        seconds: float,
        limit: int,
        ours: bool = False,
        headers: Mapping[str, str] | None = None,
        **content: Any,
    ) -> Reply:
        """Return the answer. Raises EgressError.

        `seconds` is for everything from the name's look-up to the last byte, `limit` is in bytes after
        decompression. `ours` says that the operator configured the address, so that it may be a private one.
        `content` is requests' own: params, json, data, files.
        """
        if unknown := content.keys() - _CONTENT:
            raise TypeError(f"send() takes no {', '.join(sorted(unknown))}")
        # Not `seconds <= 0`, which is false of NaN.
        if not seconds > 0:
            raise Late("there was no time left", sent=False)
        checked(url)
        guard = None if ours else self._guard
        request = requests.Request(method, url, {**_HEADERS, **(headers or {})}, **content)
        with Exchange(guard, seconds, limit) as exchange, closing(Wiring(exchange, self._trusted)) as wiring:
            try:
                return _exchange(wiring, exchange, request)
            except EgressError as err:
                err.status = exchange.status
                raise
            except (requests.RequestException, HTTPError, OSError, ValueError) as err:
                raise _translated(err, exchange) from err

    def fetch(
        self,
        url: str,
        *,
        seconds: float,
        limit: int,
        ours: bool = False,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Get a file from an address that came from outside, over at most three redirects, each of them checked.

        `headers` go to that address alone, and nothing that tells who we are to where it redirects. Raises
        EgressError. Plain http is taken where the provider names it: files of self-hosted providers come so,
        what comes is no secret of ours, and its bytes are checked whoever sent them. What began as https
        doesn't go on as http, since the address itself may be a key.
        """
        ends = monotonic() + seconds
        for _ in range(_MOST_HOPS + 1):
            left = ends - monotonic()
            reply = self.send("GET", url, seconds=left, limit=limit, ours=ours, headers=headers)
            target = reply.headers.get("location")
            if reply.status not in _REDIRECTS or not target:
                return reply
            there = _hop(url, target)
            url, ours, headers = there, ours and origin(there) == origin(url), None
        raise Refused("the address redirects too often")


def _hop(url: str, target: str) -> str:
    try:
        there = urljoin(url, target)
    except ValueError as err:
        raise Refused("that is not a plain http or https address") from err
    if origin(url).scheme == "https" and origin(there).scheme == "http":
        raise Refused("what is asked over https is not fetched over http")
    return there


def _exchange(wiring: Wiring, exchange: Exchange, request: requests.Request) -> Reply:
    """Send without a requests.Session, which adds what the environment says, and reads redirects to their end."""
    prepared = request.prepare()
    timeout = (min(CONNECT_SECONDS, exchange.seconds), exchange.seconds + 1)
    with closing(wiring.send(prepared, stream=True, timeout=timeout)) as answer:
        exchange.status = answer.status_code
        body = _body(answer, exchange)
    named = {name.lower(): value for name, value in answer.headers.items()}
    return Reply(answer.status_code, named, body, str(request.url))


def _body(answer: requests.Response, exchange: Exchange) -> bytes:
    over = TooLarge(f"the answer is over {exchange.limit} bytes")
    encoding = answer.headers.get("content-encoding", "").strip().lower()
    if answer.status_code < 200 or encoding not in _ENCODINGS:
        raise Unanswered("the answer is in a form that nobody asked for")
    expected = answer.raw.length_remaining
    if expected is not None and expected > exchange.limit:
        raise over
    # Gives its bytes away without copying them, unlike a bytearray.
    body = io.BytesIO()
    for chunk in answer.raw.stream(_CHUNK, decode_content=True):
        if body.tell() + len(chunk) > exchange.limit:
            raise over
        body.write(chunk)
    # Where the end of the connection is the end of the answer, it may be the timer who ended it.
    if exchange.expired and expected is None and not answer.raw.chunked:
        raise Late("the answer took too long", sent=True)
    return body.getvalue()


def _translated(err: Exception, exchange: Exchange) -> EgressError:
    what = type(err).__name__
    found: EgressError
    if exchange.expired or not exchange.left:
        found = Late(f"the time was over ({what})", sent=exchange.sent)
    elif exchange.sent:
        found = Unanswered(f"no whole answer came ({what})")
    elif isinstance(err, (ValueError, requests.exceptions.InvalidJSONError)):
        found = Refused(f"the request can't be written ({what})")
    else:
        found = Unreached(f"nobody could be reached ({what})")
    found.status = exchange.status
    return found
