"""The OpenAPI document, and a page that shows it without anything from elsewhere."""

from importlib import metadata, resources
from pathlib import Path
from typing import Any

from flask import Flask, Response, jsonify, send_from_directory
from flask_smorest import Api

from app.api import answers, limits
from app.api.auth import public

_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}
# Flask's rules know no WebSockets, so smorest doesn't either.
_SOCKET = {
    "tags": ["stream"],
    "summary": "Watch requests, batches, projects and the queue over a WebSocket.",
    "description": "Say who you are here, beside the subprotocol, or in the first message; docs/live.md has them all.",
    "security": [{"bearer": []}, {"apiKey": []}, {}],
    "responses": {"101": {"description": "The socket is open"}},
}
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Atelier: the API</title><link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body><div id="page"></div><script src="/docs/swagger-ui-bundle.js"></script><script src="/docs/start.js"></script></body>
</html>
"""
_START = """SwaggerUIBundle({url: "/openapi.json", dom_id: "#page", deepLinking: true, persistAuthorization: false});
"""
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; frame-ancestors 'none'"
)
_SHIPPED = ("swagger-ui.css", "swagger-ui-bundle.js")


class _Api(Api):
    """smorest's Api, whose errors are ours (app/api/errors.py)."""

    ERROR_SCHEMA = answers.ProblemAnswer

    def _register_error_handlers(self) -> None:
        """Leave errors to the application's own handlers."""


def install(app: Flask) -> Api:
    """Make the API document and serve it at `/openapi.json`, shown at `/docs`."""
    app.config.update(
        API_TITLE="Atelier",
        API_VERSION=metadata.version("atelier"),
        OPENAPI_VERSION="3.1.0",
        API_SPEC_OPTIONS={
            "info": {"description": "Prompts in, pictures out."},
            "security": [{"bearer": []}, {"apiKey": []}],
        },
    )
    api = _Api(app)
    for name, scheme in _SCHEMES.items():
        api.spec.components.security_scheme(name, scheme)
    app.add_url_rule("/openapi.json", "openapi", limits.unlimited(public(lambda: jsonify(_document(api)))))
    app.add_url_rule("/docs", "docs", limits.unlimited(public(_page)))
    app.add_url_rule("/docs/<name>", "docs_file", limits.unlimited(public(_file)))
    app.add_url_rule("/", "home", limits.unlimited(public(_home)))
    return api


def _document(api: Api) -> dict[str, Any]:
    document: dict[str, Any] = api.spec.to_dict()
    document["paths"]["/ws"] = {"get": {**_SOCKET}}
    for name in document["components"]["responses"]:
        document["components"]["responses"][name] = _problem(name.replace("_", " ").capitalize())
    for path, operations in document["paths"].items():
        for operation in operations.values():
            if isinstance(operation, dict) and "responses" in operation:
                errors = _errors(path, operation, operations.get("parameters", []))
                operation["responses"] = {**errors, **operation["responses"]}
    return document


def _errors(path: str, operation: dict[str, Any], parameters: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the errors that the operation may answer, whatever else it does."""
    found = {"default": "Any other error"}
    if operation.get("security") != []:
        found |= {"401": "Not a good token or key", "403": "Not for this role", "429": "Too often"}
    if "{" in path:
        found["404"] = "Not there, or not yours"
    if any(one.get("name") == "Idempotency-Key" for one in [*parameters, *operation.get("parameters", [])]):
        found["402"] = "It may cost more than is left of a budget"
    return {status: _problem(words) for status, words in found.items()}


def _problem(description: str) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/ProblemAnswer"}
    return {"description": description, "content": {"application/problem+json": {"schema": schema}}}


def _home() -> Response:
    """Say what answers here, for whoever opens the address."""
    return jsonify(
        name="Atelier",
        version=metadata.version("atelier"),
        docs="/docs",
        openapi="/openapi.json",
        health="/health",
    )


def _page() -> Response:
    return Response(
        _PAGE, content_type="text/html; charset=utf-8", headers={"Content-Security-Policy": _POLICY}
    )


def _file(name: str) -> Response:
    if name == "start.js":
        return Response(_START, content_type="text/javascript; charset=utf-8")
    folder = Path(str(resources.files("flask_swagger_ui"))) / "dist"
    return send_from_directory(folder, name if name in _SHIPPED else "missing", max_age=86_400)
