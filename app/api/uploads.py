"""Pictures that requests start from, sent before them."""

from flask import Response, abort, jsonify, request

from app.api import answers, limits
from app.api.deps import rt, who
from app.api.schemas import Blueprint
from app.clock import iso
from app.domain.errors import FieldFault, Invalid
from app.services import upload as uploading
from app.services.upload import Upload
from app.storage.finish import BadImage

blp = Blueprint(
    "uploads", __name__, url_prefix="/api/visual-generation/uploads", description="Pictures to start from"
)
_FORM = "multipart/form-data"
_TYPES = ("image/png", "image/jpeg", "image/webp", "image/gif", "image/avif")
_BODY = {
    "required": True,
    "content": {
        _FORM: {
            "schema": {
                "type": "object",
                "properties": {"file": answers.BINARY},
                "required": ["file"],
                "additionalProperties": False,
            }
        },
        **{mime: {"schema": answers.BINARY} for mime in _TYPES},
    },
}


@blp.route("", methods=["POST"])
@limits.body_up_to(limits.WITH_PICTURES)
@limits.uploads
@blp.response(201, answers.UploadAnswer)
@blp.doc(requestBody=_BODY)
def create() -> tuple[Response, int]:
    """Send a picture that requests may start from, of 10 MB and 40 megapixels at most; the same one is kept once."""
    field, content = _sent()
    try:
        kept = uploading.receive(rt(), who(), content)
    except BadImage as err:
        raise Invalid(FieldFault(field, str(err))) from err
    answer = _shown(kept)
    answer.headers["Location"] = f"/api/visual-generation/uploads/{kept.id}"
    return answer, 201


@blp.route("/<upload_id>")
@blp.response(200, answers.UploadAnswer)
def find(upload_id: str) -> Response:
    """Tell what is kept of a picture that was sent."""
    return _shown(uploading.find(rt(), who(), upload_id))


def _sent() -> tuple[str, bytes]:
    """Return the picture, and the field that it came in. Raises Invalid."""
    if request.mimetype == _FORM:
        return "file", _part()
    if not request.mimetype.startswith("image/") and request.mimetype != "application/octet-stream":
        abort(415, "Send a picture as the body, or as `file` in multipart/form-data.")
    return "body", request.get_data()


def _part() -> bytes:
    unknown = sorted({*request.form, *request.files} - {"file"})
    files = request.files.getlist("file")
    if unknown or len(files) != 1:
        faults = [FieldFault(name, "Unknown field.") for name in unknown]
        raise Invalid(*faults, *([] if len(files) == 1 else [FieldFault("file", "Must be one file.")]))
    content: bytes = files[0].read(uploading.LARGEST + 1)
    return content


def _shown(kept: Upload) -> Response:
    return jsonify(
        uploadId=kept.id,
        mime=kept.mime,
        width=kept.width,
        height=kept.height,
        bytes=kept.bytes,
        sha256=kept.sha256,
        expiresAt=iso(kept.expires_at),
    )
