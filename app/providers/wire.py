"""The way to one provider: its address, its credentials, and how faults of the line read as kinds of failure.

Three ways to ask, told apart by what a lost answer means. A submit may have been taken, and so paid: it is
never sent twice by this module or below it. An ask can be repeated. A fetch gets a file from an address that
the provider named; it carries no credentials, and may not lead inside.
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

from app.domain.failure import Charged, FailureKind
from app.domain.options import Options
from app.egress.address import Origin, origin
from app.egress.errors import EgressError, Late, Refused, TooLarge, Unreached
from app.egress.reply import NotJson, Reply
from app.egress.sender import Egress
from app.providers import sniff, waits
from app.providers.base import Artifact, Context, ProviderError
from app.providers.says import BY_PAGE, BY_STATUS, SAYS

ANSWER_BYTES = 80 << 20
FILE_BYTES = 200 << 20
ASK_SECONDS = 30.0
KNOCK_SECONDS = 10.0
# A gateway's own page that says it has stopped waiting for the provider, which may be at work all the same.
_GAVE_UP = {504, 520, 524}
# Where providers put their own name of an exchange.
_REQUEST_IDS = ("x-request-id", "request-id", "x-fal-request-id", "x-amzn-requestid", "cf-ray")
_UNPRINTABLE = re.compile(r"[^\x21-\x7e]")
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


class Wire:
    """`headers` carry the credentials; they go to `base_url`'s origin, and to `hosts` (ends of host names) over https only.

    Raises ValueError where the base URL is no plain http(s) address.
    """

    def __init__(
        self,
        options: Options,
        egress: Egress,
        *,
        base_url: str,
        headers: Mapping[str, str] | None = None,
        hosts: tuple[str, ...] = (),
    ) -> None:
        self._name = options.name
        self._egress = egress
        self.base_url = (options.base_url or base_url).rstrip("/")
        self._origin = _base(options.name, self.base_url)
        self._headers = dict(headers or {})
        self._hosts = hosts

    def submit(
        self,
        path: str,
        context: Context,
        *,
        seconds: float,
        job: bool = False,
        headers: Mapping[str, str] | None = None,
        **content: Any,
    ) -> Reply:
        """POST what may be paid for; return the answer, whatever its status. Raises ProviderError.

        `job` says that the answer is only a ticket for work that goes on: one that is cut off then leaves the
        work unknown, where otherwise it is a spoilt result.
        """
        try:
            seconds = min(seconds, context.remaining())
            reply = self._send("POST", path, context, seconds=seconds, headers=headers, **content)
        except EgressError as err:
            raise self._lost(err, job=job) from err
        if reply.page and reply.status in _GAVE_UP:
            raise self.error(FailureKind.SUBMIT_UNKNOWN, reply, charged=Charged.UNKNOWN)
        return reply

    def ask(
        self,
        method: str,
        path: str,
        context: Context,
        *,
        seconds: float = ASK_SECONDS,
        headers: Mapping[str, str] | None = None,
        **content: Any,
    ) -> Reply:
        """Send what can be repeated; return the answer, whatever its status. Raises ProviderError.

        `path` may be an address that the provider gave, where it is one of its own.
        """
        try:
            seconds = min(seconds, context.remaining())
            return self._send(method, path, context, seconds=seconds, headers=headers, **content)
        except (Unreached, Late) as err:
            raise self.error(FailureKind.CONNECT_FAILED) from err
        except Refused as err:
            raise self.error(FailureKind.PROTOCOL) from err
        except EgressError as err:
            raise self.error(FailureKind.UNAVAILABLE) from err

    def knock(
        self, method: str, path: str, *, seconds: float = KNOCK_SECONDS, **content: Any
    ) -> Reply | None:
        """Ask outside an attempt (health, cancel); return None where there is no answer, whyever."""
        try:
            return self._send(method, path, None, seconds=seconds, **content)
        except EgressError:
            return None

    def fetch(
        self,
        url: str,
        context: Context,
        *,
        role: str = "image",
        kinds: frozenset[str] = sniff.PICTURES,
        seconds: float = 120.0,
        limit: int = FILE_BYTES,
        keyed: bool = False,
    ) -> Artifact:
        """Get a result file from where the provider says it is; `url` may be relative to the base URL.

        `keyed` sends the credentials along where that is the base URL's own origin, and not where it redirects.
        Raises ProviderError: result_expired (403, but for a challenge page; 404, 410), result_fetch_failed,
        bad_result.
        """
        try:
            url = self._absolute(url)
            own = origin(url) == self._origin
            reply = self._egress.fetch(
                url,
                seconds=min(seconds, context.remaining()),
                limit=limit,
                ours=own,
                headers=self._headers if keyed and own else None,
            )
        except TooLarge as err:
            raise self.error(FailureKind.BAD_RESULT, charged=Charged.YES) from err
        except Refused as err:
            message = f"{self._name} named an address for its result that may not be fetched."
            raise self.error(FailureKind.BAD_RESULT, message=message, charged=Charged.YES) from err
        except EgressError as err:
            raise self.error(FailureKind.RESULT_FETCH, charged=Charged.YES) from err
        if reply.status in {404, 410} or (reply.status == 403 and not reply.page):
            raise self.error(FailureKind.RESULT_EXPIRED, reply, charged=Charged.YES)
        if not reply.ok:
            raise self.error(FailureKind.RESULT_FETCH, reply, charged=Charged.YES)
        return self.artifact(reply.body, role=role, kinds=kinds)

    def knows(self, url: str) -> bool:
        """Whether an address that the provider gave is one of its own, so that `ask` and `knock` would go there."""
        try:
            return self._where(url)[0] == url
        except Refused:
            return False

    def artifact(
        self, content: bytes, *, role: str = "image", kinds: frozenset[str] = sniff.PICTURES
    ) -> Artifact:
        """Return `content` as a result file. Raises ProviderError (bad_result) where it isn't a whole one of `kinds`."""
        mime = sniff.mime_of(content)
        if mime not in kinds or not sniff.whole(content, mime):
            raise self.error(FailureKind.BAD_RESULT, charged=Charged.YES)
        return Artifact(role, content, mime)

    def json(self, reply: Reply, *, charged: Charged = Charged.NO) -> dict[str, Any]:
        """Return the JSON object that an answer holds. Raises ProviderError (protocol_error) where it holds none."""
        try:
            found = reply.json()
        except NotJson:
            found = None
        if not isinstance(found, dict):
            raise self.error(FailureKind.PROTOCOL, reply, charged=charged)
        return found

    def error(
        self,
        kind: FailureKind,
        reply: Reply | None = None,
        *,
        retry_after: float | None = None,
        message: str | None = None,
        charged: Charged = Charged.NO,
    ) -> ProviderError:
        """Return the error of a kind in the house's own words, with what `reply` says of waiting and its request id."""
        if reply is not None and retry_after is None:
            retry_after = waits.asked(reply.headers)
        return ProviderError(
            kind,
            message or SAYS[kind].format(self._name),
            waits.clamp(retry_after),
            request_id=request_id(reply),
            charged=charged,
        )

    def by_status(self, reply: Reply, **more: Any) -> ProviderError:
        """Return the error that a status means where the provider's own codes say nothing."""
        kind = BY_STATUS.get(reply.status)
        if kind is None:
            kind = FailureKind.UNAVAILABLE if reply.status >= 500 else FailureKind.PROTOCOL
        if reply.page and reply.status < 500:
            # A proxy's or content delivery network's own page: the provider behind it has not been asked.
            kind = BY_PAGE.get(reply.status, FailureKind.PROTOCOL)
        return self.error(kind, reply, **more)

    def _lost(self, err: EgressError, *, job: bool) -> ProviderError:
        if not err.sent:
            return self.error(FailureKind.CONNECT_FAILED)
        status = err.status or 0
        if 400 <= status < 500:
            # What it said of it is lost; that it refused isn't.
            return self.error(BY_STATUS.get(status, FailureKind.PROTOCOL))
        if 200 <= status < 300 and not job:
            if isinstance(err, TooLarge):
                return self.error(FailureKind.BAD_RESULT, charged=Charged.YES)
            kind = FailureKind.DEADLINE if isinstance(err, Late) else FailureKind.BAD_RESULT
            return self.error(kind, charged=Charged.UNKNOWN)
        return self.error(FailureKind.SUBMIT_UNKNOWN, charged=Charged.UNKNOWN)

    def _send(
        self,
        method: str,
        path: str,
        context: Context | None,
        *,
        seconds: float,
        headers: Mapping[str, str] | None = None,
        **content: Any,
    ) -> Reply:
        url, own = self._where(path)
        sent = {**self._headers, **(headers or {})}
        trace = context.traceparent if context else None
        if trace and _TRACEPARENT.fullmatch(trace):
            sent["traceparent"] = trace
        return self._egress.send(
            method, url, seconds=seconds, limit=ANSWER_BYTES, ours=own, headers=sent, **content
        )

    def _where(self, path: str) -> tuple[str, bool]:
        """Return the address of `path`, and whether it has the base URL's own origin. Raises Refused."""
        if not isinstance(path, str):
            raise Refused("that is no address")
        url = path if path.lower().startswith(("http://", "https://")) else self.base_url + path
        there = origin(url)
        if there != self._origin and not self._pinned(there):
            raise Refused("that is not an address of the provider's own")
        # An id that a provider made up may not lead to another of its routes.
        if ".." in unquote(urlsplit(url).path).split("/"):
            raise Refused("the path leads out of itself")
        return url, there == self._origin

    def _absolute(self, url: str) -> str:
        # What a provider named: it may be anything that JSON holds.
        if not isinstance(url, str) or not url:
            raise Refused("that is no address")
        try:
            return urljoin(self.base_url + "/", url)
        except ValueError as err:
            raise Refused("that is no address") from err

    def _pinned(self, there: Origin) -> bool:
        return (there.scheme, there.port) == ("https", 443) and any(
            there.host == end or there.host.endswith(f".{end}") for end in self._hosts
        )


def request_id(reply: Reply | None) -> str | None:
    """Return the provider's own name of an exchange, if it gave one: up to 200 characters that can be printed."""
    headers = reply.headers if reply else {}
    found = (_UNPRINTABLE.sub("", headers.get(name, ""))[:200] for name in _REQUEST_IDS)
    return next((one for one in found if one), None)


def _base(name: str, url: str) -> Origin:
    try:
        found = origin(url)
    except Refused:
        found = None
    if found is None or "?" in url or "#" in url:
        # Not the address itself: what makes it wrong may be a password in it.
        raise ValueError(f"the base URL of {name} is not a plain http or https address")
    return found
