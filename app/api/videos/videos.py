"""Videos about pets: asked for, looked after, had [A48] [A49]."""

import hashlib
from typing import Any

from flask import Response, jsonify, request

from app.api import idempotency, limits
from app.api.answers import ProblemAnswer
from app.api.deps import rt, who
from app.api.errors import problem
from app.api.headers import traceparent
from app.api.schemas import Blueprint
from app.api.videos import answers
from app.api.videos.schemas import VideoFormSchema, VideoSchema
from app.domain.errors import FieldFault, IllegalMove, Invalid
from app.services import upload
from app.services.videos import ask as asking
from app.services.videos.ask import Wanted
from app.services.videos.find import find, shown
from app.services.videos.pets import NoPetsDetected

blp = Blueprint("videos", __name__, url_prefix="/api", description="Videos about pets")
_FORM = "multipart/form-data"
_BODY = {
    "required": True,
    "content": {"application/json": {"schema": VideoSchema}, _FORM: {"schema": VideoFormSchema}},
}


@blp.route("/generate-video", methods=["POST"], parameters=idempotency.HEADER)
@limits.body_up_to(limits.WITH_PICTURES)
@limits.submits
@blp.response(202, answers.VideoBegunAnswer)
@blp.alt_response(
    400,
    schema=ProblemAnswer,
    content_type="application/problem+json",
    description="Not valid, or no_pets_detected, with a suggestion",
)
@blp.doc(requestBody=_BODY)
def create() -> tuple[Response, int]:
    """Begin a video about the pet in a picture; answers once the pet was looked for."""
    wanted, body = _form() if request.mimetype == _FORM else _json()
    given = asking.ask(rt(), who(), wanted, key=idempotency.key(body), traceparent=traceparent())
    return idempotency.answer(given, location=f"/api/video-status/{given.body['job_id']}"), 202


@blp.route("/video-status/<job_id>")
@blp.response(200, answers.VideoAnswer)
@blp.alt_response(304, description="Nothing happened since the ETag that was sent.")
def status(job_id: str) -> Response:
    """Tell how a video stands, with its address once it is there."""
    response = jsonify(shown(rt(), find(rt(), who(), job_id)))
    response.add_etag(weak=True)
    response.cache_control.no_cache = True
    response.make_conditional(request)
    return response


@blp.route("/video-result/<job_id>")
@blp.response(200, answers.VideoAnswer)
@blp.alt_response(409, schema=ProblemAnswer, content_type="application/problem+json", description="Not ready")
@blp.alt_response(502, schema=ProblemAnswer, content_type="application/problem+json", description="It failed")
def result(job_id: str) -> Response:
    """Get a video's address; 409 as long as there is none, 502 where there will be none."""
    video = find(rt(), who(), job_id)
    match video.status:
        case "completed":
            return jsonify(shown(rt(), video))
        case "failed":
            return problem(502, "video_failed", (video.record.error or {}).get("message", "It failed."))
        case word:
            raise IllegalMove(f"There is no video: it is {word}.")


@blp.errorhandler(NoPetsDetected)
def no_pets(err: NoPetsDetected) -> Response:
    """Answer as the document's clients read it: `error` is a word here."""
    return problem(400, err.code, str(err), more={"error": err.code, "suggestion": err.suggestion})


def _json() -> tuple[Wanted, Any]:
    """Return what is wanted, and the body as the idempotency key sees it. Raises ValidationError."""
    schema = VideoSchema()
    wanted: Wanted = schema.load(Blueprint.ARGUMENTS_PARSER.load_json(request, schema))
    return wanted, request.get_json()


def _form() -> tuple[Wanted, Any]:
    """Return what a form wants; of its file the key sees the hash. Raises ValidationError, Invalid."""
    words: dict[str, Any] = request.form.to_dict()
    files = request.files.getlist("image")
    if unknown := sorted(set(request.files) - {"image"} | set(words) & {"image"}):
        raise Invalid(*[FieldFault(name, "Must be a file called image.") for name in unknown])
    if len(files) > 1:
        raise Invalid(FieldFault("image", "Must be one file."))
    contents = [file.read(upload.LARGEST + 1) for file in files]
    hashes = [hashlib.sha256(content).hexdigest() for content in contents]
    picture = {"image": contents[0]} if contents else {}
    wanted: Wanted = VideoFormSchema().load({**words, **picture})
    return wanted, [words, hashes]
