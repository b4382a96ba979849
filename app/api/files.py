"""Finished files. They are found through SQL and named by their content: nothing a client sends touches the disk."""

from flask import Response, request, send_file

from app.api import answers, limits
from app.api.auth import public
from app.api.deps import rt, who
from app.api.schemas import Blueprint
from app.domain import ids
from app.domain.errors import NotFound
from app.domain.vocabulary import EXTENSIONS
from app.services import links, lookup
from app.services.lookup import File

blp = Blueprint("files", __name__, description="Finished files")
_YEAR = 31_536_000


@blp.route("/api/visual-generation/requests/<request_id>/files/<role>")
@blp.response(
    200, answers.BINARY, content_type="image/*", description="The file; Range and ETag are understood"
)
@blp.alt_response(206, schema=answers.BINARY, content_type="image/*", description="A part of it")
@blp.alt_response(304, description="It is the one whose ETag was sent")
def of_request(request_id: str, role: str) -> Response:
    """Get a request's `image`, `thumbnail`, `model` or `video`."""
    if ids.is_asset(request_id) or ids.is_upload(request_id):
        raise NotFound("File not found")
    return send(lookup.file(rt(), who(), request_id, role), f"{request_id}-{role}")


@blp.route("/files/<token>")
@public
@limits.unlimited
@blp.response(
    200, answers.BINARY, content_type="image/*", description="The file; Range and ETag are understood"
)
@blp.alt_response(206, schema=answers.BINARY, content_type="image/*", description="A part of it")
@blp.alt_response(304, description="It is the one whose ETag was sent")
@blp.doc(security=[])
def signed(token: str) -> Response:
    """Get a file by a signed address that expires: for pages, which can't send a token."""
    request_id, role = links.opened(rt(), token)
    return send(lookup.file(rt(), None, request_id, role), f"{request_id}-{role}")


def send(file: File, name: str) -> Response:
    """Send a stored file, or the part that was asked for; `name` is what browsers save it as. Raises NotFound."""
    stored = rt().store.path(file.sha256)
    if stored.is_symlink():
        # Nothing of ours makes links: it leads somewhere else.
        raise NotFound("File not found")
    try:
        response = send_file(
            stored,
            mimetype=file.mime,
            download_name=f"{name}.{EXTENSIONS.get(file.mime, 'bin')}",
            conditional=True,
            etag=file.sha256,
            max_age=_YEAR,
        )
    except FileNotFoundError:
        raise NotFound("File not found") from None
    response.cache_control.public = False
    response.cache_control.private = True
    response.cache_control.immutable = True
    response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    response.headers["Cross-Origin-Resource-Policy"] = (
        "cross-origin" if request.path.startswith("/files/") else "same-site"
    )
    return response
