"""What was asked of the fakes, without the credentials."""

from dataclasses import dataclass, field
from typing import Any

from flask import request

_SECRET_HEADERS = {
    "authorization",
    "x-goog-api-key",
    "x-api-key",
    "x-key",
    "apikey",
    "api-key",
    "key",
    "xi-api-key",
    "cookie",
    "proxy-authorization",
}
_SECRET_ARGUMENTS = {"key", "api_key", "token"}


@dataclass(frozen=True)
class Call:
    """One request as a fake saw it; `path` begins after the fake's name. Credentials are masked."""

    provider: str
    method: str
    path: str
    headers: dict[str, str]
    query: dict[str, str]
    body: bytes
    json: Any
    form: dict[str, list[str]] = field(default_factory=dict)
    files: dict[str, list[bytes]] = field(default_factory=dict)
    authorized: bool = False


def seen(provider: str, path: str) -> Call:
    """Return the current request as a call."""
    body = request.get_data(cache=True)
    secret = _SECRET_HEADERS & {name.lower() for name, _ in request.headers}
    arguments = _SECRET_ARGUMENTS & set(request.args)
    files: dict[str, list[bytes]] = {}
    for name, parts in request.files.lists():
        for part in parts:
            files.setdefault(name, []).append(part.read())
            part.seek(0)
    return Call(
        provider=provider,
        method=request.method,
        path=path,
        headers={
            name.lower(): "masked" if name.lower() in secret else value
            for name, value in request.headers.items()
        },
        query={name: "masked" if name in arguments else value for name, value in request.args.items()},
        body=body,
        json=request.get_json(silent=True),
        form={name: list(values) for name, values in request.form.lists()},
        files=files,
        authorized=bool(secret or arguments),
    )
