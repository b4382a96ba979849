"""A thin HTTP client for Atelier's own API. Every call has a time limit, every answer a size limit."""

import hashlib
import ipaddress
import json
import logging
import secrets
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
from requests import RequestException, Response, Session, Timeout
from requests.adapters import HTTPAdapter
from requests.exceptions import InvalidSchema, InvalidURL, MissingSchema
from sseclient import SSEClient
from urllib3.exceptions import ReadTimeoutError
from urllib3.util.retry import Retry

_CONNECT_SECONDS = 5.0
_ANSWER_SECONDS = 30.0
_LARGEST_ANSWER = 32 << 20
_DOWNLOAD_SECONDS = 300.0
_CHUNK = 1 << 16
_STREAM = "text/event-stream"
# A service that is alive shows it on a silent stream every 15 seconds.
_SILENCE_SECONDS = 40.0
_MOMENT = 0.5
_LARGEST_MESSAGE = 8 << 20


class NoAnswer(click.ClickException):
    """Nobody answered, or not in time, or something that isn't Atelier did."""


class Refused(click.ClickException):
    """Atelier answered with an error; `status` is HTTP's."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Client:
    """Calls one service. `authorize` gives the headers that say who asks; it is asked again when a token is refused."""

    def __init__(self, url: str, authorize: Callable[[], Mapping[str, str]]) -> None:
        self.url = url.rstrip("/")
        self._authorize = authorize
        self._session = _session(self.url)
        self._session.headers.update(authorize())

    def get(self, path: str, *, seconds: float = _ANSWER_SECONDS, **params: Any) -> dict[str, Any]:
        """Return the answer's JSON. Raises NoAnswer, Refused."""
        return self._call("GET", path, params=params, seconds=seconds)

    def delete(self, path: str) -> dict[str, Any]:
        """As `get`."""
        return self._call("DELETE", path, seconds=_ANSWER_SECONDS)

    def post(
        self, path: str, body: Any = None, *, lines: bytes | None = None, **params: Any
    ) -> dict[str, Any]:
        """Send `body` as JSON, or `lines` as NDJSON, under a key of its own, so that a repeated try spends once."""
        headers = {"Idempotency-Key": secrets.token_hex(16)}
        if lines is not None:
            headers["Content-Type"] = "application/x-ndjson"
        return self._call(
            "POST", path, json=body, data=lines, params=params, headers=headers, seconds=_ANSWER_SECONDS
        )

    def send(self, path: str, content: bytes) -> dict[str, Any]:
        """POST a file, which may be sent twice. As `get`."""
        headers = {"Content-Type": "application/octet-stream"}
        return self._call("POST", path, data=content, headers=headers, seconds=_ANSWER_SECONDS)

    def messages(self, path: str, **params: Any) -> Generator[dict[str, Any] | None, None, None]:
        """Give the messages of an event stream until it ends or breaks off; None where a moment brings none.

        Raises NoAnswer, Refused where it doesn't begin.
        """
        try:
            response = self._listen(path, params)
            if response.status_code == 401 and self._renew():
                response.close()
                response = self._listen(path, params)
            with response:
                if response.headers.get("Content-Type", "").startswith(_STREAM):
                    yield from _messages(response)
                elif response.status_code != 204:
                    _read(response, _within(response, _LARGEST_ANSWER, _ANSWER_SECONDS))
                    raise NoAnswer(f"{_host(self.url)} answered, but not with a stream.")
        except RequestException as err:
            raise NoAnswer(_silence(self.url, err)) from err

    def save(self, state: Mapping[str, Any], target: Path) -> None:
        """Write the picture of a completed request to `target`, whole or not at all.

        Raises NoAnswer, Refused; ClickException where the file can't be written.
        """
        draft = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
        try:
            with draft.open("xb") as file:
                file.write(self._picture(state["requestId"], state["result"]))
            draft.replace(target)
        except OSError as err:
            raise click.ClickException(f"{target} can't be written: {err.strerror}") from err
        finally:
            draft.unlink(missing_ok=True)

    def _call(self, method: str, path: str, *, seconds: float, **sent: Any) -> dict[str, Any]:
        response, body = self._send(method, path, seconds, _LARGEST_ANSWER, **sent)
        if response.status_code == 401 and self._renew():
            response, body = self._send(method, path, seconds, _LARGEST_ANSWER, **sent)
        return _read(response, body)

    def _renew(self) -> bool:
        fresh = self._authorize()
        known = {name: self._session.headers.get(name) for name in fresh}
        self._session.headers.update(fresh)
        return dict(fresh) != known

    def _picture(self, request_id: str, result: Mapping[str, Any]) -> bytes:
        # Not by imageUrl: that names the service as the world sees it, which may be another way than ours.
        path = f"/api/visual-generation/requests/{request_id}/files/image"
        response, content = self._send("GET", path, _DOWNLOAD_SECONDS, result["bytes"])
        if response.status_code != 200:
            _read(response, content)
        if hashlib.sha256(content).hexdigest() != result["sha256"]:
            raise NoAnswer(f"{self.url} sent another picture than it promised.")
        return content

    def _send(
        self, method: str, path: str, seconds: float, largest: int, **sent: Any
    ) -> tuple[Response, bytes]:
        try:
            with self._begin(method, path, seconds, **sent) as response:
                return response, _within(response, largest if response.ok else _LARGEST_ANSWER, seconds)
        except RequestException as err:
            raise NoAnswer(_silence(self.url, err)) from err

    def _listen(self, path: str, params: Mapping[str, Any]) -> Response:
        return self._begin("GET", path, _SILENCE_SECONDS, params=params, headers={"Accept": _STREAM})

    def _begin(self, method: str, path: str, seconds: float, **sent: Any) -> Response:
        # A redirect would carry the key to somebody else.
        return self._session.request(
            method,
            self.url + path,
            timeout=(_CONNECT_SECONDS, seconds),
            stream=True,
            allow_redirects=False,
            **sent,
        )


def _session(url: str) -> Session:
    # It would write a line for every try that is repeated.
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    session = Session()
    session.headers.update({"User-Agent": "atelier-cli", "Accept": "application/json, */*"})
    # A proxy of the environment knows nothing of this machine's own addresses.
    session.trust_env = not _is_here(url)
    retry = Retry(
        connect=1,
        read=2,
        status=2,
        redirect=0,
        backoff_factor=0.3,
        status_forcelist=(502, 503, 504),
        allowed_methods=None,
        raise_on_status=False,
        # A rate limit may ask for a quarter of an hour; that is said, not slept.
        respect_retry_after_header=False,
    )
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(max_retries=retry))
    return session


def _is_here(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _within(response: Response, largest: int, seconds: float) -> bytes:
    """Return the body. Raises NoAnswer where it is larger than `largest` bytes or takes longer than `seconds`."""
    deadline = time.monotonic() + seconds
    parts, size = [], 0
    for part in response.iter_content(_CHUNK):
        size += len(part)
        if size > largest or time.monotonic() > deadline:
            raise NoAnswer(f"The answer of {_host(response.url)} is too large or too slow.")
        parts.append(part)
    return b"".join(parts)


def _messages(response: Response) -> Iterator[dict[str, Any] | None]:
    # Read by a thread, since a read that has timed out once can't be gone on with.
    with ThreadPoolExecutor(1) as reader:
        try:
            events = SSEClient(_parts(response)).events()
            coming = reader.submit(next, events, None)
            while True:
                if not wait([coming], _MOMENT).done:
                    yield None
                elif (event := coming.result()) is None:
                    return
                else:
                    coming = reader.submit(next, events, None)
                    yield json.loads(event.data)
        except (RequestException, ValueError):
            # It broke off, perhaps in the middle of a message.
            return
        finally:
            # What waits in the thread ends with it; there is nothing to end where the stream has.
            with suppress(OSError, ValueError, RuntimeError):
                response.raw.shutdown()


def _parts(response: Response) -> Iterator[bytes]:
    """Give what comes, as it comes. Raises NoAnswer where a message gets too large."""
    size = 0
    for part in response.iter_content(_CHUNK):
        _, end, rest = part.rpartition(b"\n\n")
        size = len(rest) if end else size + len(part)
        if size > _LARGEST_MESSAGE:
            raise NoAnswer(f"A message of {_host(response.url)} is too large.")
        yield part


def _read(response: Response, body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        found = None
    if not isinstance(found, dict) or 300 <= response.status_code < 400:
        raise NoAnswer(
            f"{_host(response.url)} answered {response.status_code} {response.reason}, which is not Atelier's way."
        )
    if response.status_code >= 400:
        raise Refused(response.status_code, _complaint(response, found))
    return found


def _complaint(response: Response, problem: Mapping[str, Any]) -> str:
    """Return what is wrong in plain words, from problem+json (RFC 9457)."""
    lines = [str(problem.get("detail") or problem.get("error") or response.reason)]
    faults = problem.get("errors")
    if isinstance(faults, list):
        lines += [f"  {fault.get('field')}: {fault.get('message')}" for fault in faults]
    match response.status_code:
        case 401:
            lines.append("The token or key was not accepted.")
        case 429:
            lines.append(f"Try again in {response.headers.get('Retry-After', 'some')} seconds.")
        case status if status >= 500:
            lines.append(f"The service's log says more under trace id {problem.get('traceId')}.")
    return "\n".join(lines)


def _silence(url: str, err: RequestException) -> str:
    if isinstance(err, Timeout) or isinstance(_reason(err), ReadTimeoutError):
        return f"{_host(url)} did not answer in time."
    if isinstance(err, (InvalidURL, InvalidSchema, MissingSchema)):
        return f"{url} is not an http:// or https:// address."
    return (
        f"{_host(url)} can't be reached ({type(err).__name__}).\n"
        "Is the service running? Start it with: atelier up"
    )


def _reason(err: RequestException) -> object:
    """Return what ended the last of several tries, which requests wraps twice."""
    return getattr(err.args[0], "reason", None) if err.args else None


def _host(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
