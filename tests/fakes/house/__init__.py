"""Fake providers on loopback: an API server, and a server for artifacts on another port that must never see a credential.

The fakes are strict: what a provider would refuse is refused in its own words, and what it would charge is
counted. A test scripts what goes wrong (`script`, `spoil`, `mislead`), and `reset` ends all of that.
"""

import importlib
import re
import threading
import traceback
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Self
from urllib.parse import unquote_plus

import flask
from flask import Flask, Request, Response, g, request
from werkzeug.exceptions import HTTPException

from tests.fakes.house import faults
from tests.fakes.house.calls import Call, seen
from tests.fakes.house.server import Server

KEY = "key of the tests"

# One module per fake: `blueprint(house)`, and where its base URL has a path, `BASE` ("/v1").
FAKES = [
    "openai",
    "localai",
    "stability",
    "gemini",
    "huggingface",
    "replicate",
    "fal",
    "assetgen",
    "comfyui",
    "a1111",
    "horde",
    "meshy",
    "revid",
    "dhruva",
]

Reply = Response | Callable[[Request], Response] | faults.Hidden | faults.Changed
_FAULTS_OF_A_MODULE = (
    ImportError,
    SyntaxError,
    AttributeError,
    NameError,
    TypeError,
    ValueError,
    AssertionError,
)


@dataclass
class _Script:
    provider: str
    pattern: re.Pattern[str]
    replies: list[Reply]
    forever: bool
    method: str | None


class House:
    """`with House() as house:` serves all fakes; see the package's docstring.

    calls     what was asked of the API, in order      charges   how often each fake charged
    fetched   what was asked of the artifact host      leaks     credentials that the artifact host saw
    answers   JSON that the fakes gave: (provider, path, body)
    crashes   faults of the fakes themselves
    extra     adds fields that nobody knows to every JSON object that the API answers with
    """

    def __init__(self) -> None:
        self.broken: dict[str, str] = {}
        self._bases: dict[str, str] = {}
        self._lock = threading.RLock()
        self.reset()
        self._api = Server(self._api_app())
        self._cdn = Server(self._cdn_app())
        self.api = self._api.origin
        self.cdn = self._cdn.origin

    def __enter__(self) -> Self:
        self._api.start()
        self._cdn.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._api.stop()
        self._cdn.stop()

    def reset(self) -> None:
        """Forget all calls, charges, scripts, files and the fakes' own states."""
        self.calls: list[Call] = []
        self.fetched: list[Call] = []
        self.charges: Counter[str] = Counter()
        self.leaks: list[str] = []
        self.answers: list[tuple[str, str, Any]] = []
        self.crashes: list[str] = []
        self.extra = False
        self._states: dict[str, dict[str, Any]] = {}
        self._scripts: list[_Script] = []
        self._files: dict[str, tuple[bytes, str]] = {}
        self._spoilt: bytes | None = None
        self._misled: str | None = None

    def url(self, provider: str) -> str:
        """Return the base URL of a fake: what <NAME>_BASE_URL would be."""
        if provider in self.broken:
            raise RuntimeError(f"the fake {provider} can't be loaded:\n{self.broken[provider]}")
        return self.api + self._bases[provider]

    @property
    def nowhere(self) -> str:
        """An origin at which nobody listens: port 1 of loopback."""
        return "http://127.0.0.1:1"

    def charge(self, provider: str, times: int = 1) -> None:
        """Count an accepted submit. For fakes."""
        with self._lock:
            self.charges[provider] += times

    def state(self, provider: str) -> dict[str, Any]:
        """Return a fake's own memory, emptied by `reset`."""
        with self._lock:
            return self._states.setdefault(provider, {})

    def script(
        self, provider: str, pattern: str, *replies: Reply, forever: bool = False, method: str | None = None
    ) -> None:
        """Give the next requests whose path matches these replies in turn; then the fake answers again.

        `provider` "cdn" is the artifact host. With `forever` the last reply stays.
        """
        with self._lock:
            self._scripts.append(_Script(provider, re.compile(pattern), list(replies), forever, method))

    def file(self, content: bytes, mime: str = "application/octet-stream") -> str:
        """Put a file on the artifact host and return its URL, or where `mislead` points."""
        name = uuid.uuid4().hex
        with self._lock:
            self._files[name] = (content, mime)
        return self._misled or f"{self.cdn}/files/{name}"

    def art(self, content: bytes) -> bytes:
        """Return what a fake gives as its result: `content`, or what `spoil` put in its place. For fakes."""
        return content if self._spoilt is None else self._spoilt

    def spoil(self, content: bytes) -> None:
        """From now on, every result file of every fake is this."""
        self._spoilt = content

    def mislead(self, url: str) -> None:
        """From now on, every result is said to be at this address."""
        self._misled = url

    def asked(self, provider: str, pattern: str = "", method: str | None = None) -> list[Call]:
        """Return the calls of a provider whose path matches."""
        return [
            call
            for call in self.calls
            if call.provider == provider and re.search(pattern, call.path) and method in {None, call.method}
        ]

    def _api_app(self) -> Flask:
        app = Flask("api of the fakes")
        for name in FAKES:
            module = self._module(name)
            if module is None:
                continue
            base = f"/{name}{getattr(module, 'BASE', '')}"
            try:
                app.register_blueprint(module.blueprint(self), url_prefix=base)
            except _FAULTS_OF_A_MODULE:
                self.broken[name] = traceback.format_exc()
            self._bases[name] = base
        app.before_request(self._before)
        app.after_request(self._after)
        app.register_error_handler(Exception, self._crashed)
        return app

    def _module(self, name: str) -> ModuleType | None:
        try:
            return importlib.import_module(f"{__name__}.{name}")
        except _FAULTS_OF_A_MODULE:
            self.broken[name] = traceback.format_exc()
            return None

    def _cdn_app(self) -> Flask:
        app = Flask("artifacts of the fakes")

        @app.before_request
        def before() -> Any:
            call = seen("cdn", request.path)
            with self._lock:
                self.fetched.append(call)
                if call.authorized or KEY in unquote_plus(f"{request.headers} {request.url}"):
                    self.leaks.append(f"{call.method} {call.path}")
            return self._scripted("cdn", request.path)

        @app.get("/files/<name>")
        def file(name: str) -> Any:
            content, mime = self._files.get(name) or flask.abort(404)
            return Response(content, mimetype=mime)

        app.after_request(self._after)
        app.register_error_handler(Exception, self._crashed)
        return app

    def _before(self) -> Any:
        _, provider, *rest = request.path.split("/", 2)
        path = "/" + "/".join(rest)
        call = seen(provider, path)
        with self._lock:
            self.calls.append(call)
        g.provider, g.path = provider, path
        return self._scripted(provider, path)

    def _scripted(self, provider: str, path: str) -> Any:
        with self._lock:
            found = next((one for one in self._scripts if self._fits(one, provider, path)), None)
            if found is None:
                return None
            last = len(found.replies) == 1
            reply = found.replies[0] if last and found.forever else found.replies.pop(0)
        if isinstance(reply, faults.Hidden):
            g.lost = reply.fault
            return None
        if isinstance(reply, faults.Changed):
            g.changed = reply
            return None
        g.scripted = True
        return reply(request) if not isinstance(reply, Response) else _copy(reply)

    def _fits(self, script: _Script, provider: str, path: str) -> bool:
        return bool(
            script.replies
            and script.provider == provider
            and script.method in {None, request.method}
            and script.pattern.search(path)
        )

    def _after(self, response: Response) -> Response:
        lost = g.pop("lost", None)
        if lost is not None:
            return lost(request)
        if "changed" in g:
            return g.pop("changed").apply(response)
        if response.is_json and not response.is_streamed and "provider" in g and "scripted" not in g:
            body = response.get_json(silent=True)
            with self._lock:
                self.answers.append((g.provider, g.path, body))
            if self.extra and isinstance(body, dict):
                response.set_data(flask.json.dumps({**body, "news_of_tomorrow": {"x": [1, None]}}))
        return response

    def _crashed(self, err: Exception) -> Any:
        if isinstance(err, HTTPException):
            return err
        with self._lock:
            self.crashes.append("".join(traceback.format_exception(err)))
        return Response("the fake itself failed", 500)


def _copy(reply: Response) -> Response:
    return Response(reply.get_data(), reply.status, headers=reply.headers.to_wsgi_list())
