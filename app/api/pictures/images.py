"""Pictures of scenes, items and characters [A57]-[A61]."""

from typing import Any

from flask import Response, jsonify, request

from app.api import idempotency
from app.api.deps import rt, who
from app.api.headers import traceparent
from app.api.pictures import answers, made, rates
from app.api.pictures.counts import tally
from app.api.pictures.schemas import (
    FeatureSchema,
    GenerateSchema,
    ImageQuerySchema,
    SearchSchema,
    WaitSchema,
)
from app.api.schemas import Blueprint
from app.clock import iso
from app.services.pictures import feature as featuring
from app.services.pictures import found, trash
from app.services.pictures import generate as generating
from app.services.pictures import search as searching
from app.services.pictures.wish import Wish

blp = Blueprint("images", __name__, url_prefix="/api/v1/images", description="Pictures of a game")


@blp.route("/generate", methods=["POST"], parameters=idempotency.HEADER)
@rates.images
@blp.arguments(WaitSchema, location="query")
@blp.arguments(GenerateSchema)
@blp.response(201, answers.PictureAnswer)
@blp.alt_response(
    202, schema=answers.PendingAnswer, description="It takes longer: Location tells how far it is"
)
def generate(query: dict[str, Any], wish: Wish) -> Response:
    """Draw a picture; the answer waits for it, `wait` seconds at most."""
    key = idempotency.key(request.get_json())
    given = generating.generate(rt(), who(), wish, key=key, traceparent=traceparent())
    return made.answer(
        given.body["id"], given.body["request_id"], wait=query["wait"], replayed=given.replayed
    )


@blp.route("/search")
@blp.arguments(SearchSchema, location="query")
@blp.response(200, answers.PicturePageAnswer)
def search(query: dict[str, Any]) -> Response:
    """List pictures that are there, narrowed by what is given: featured ones first, then the newest."""
    size = query["page_size"]
    page = searching.search(rt(), who(), query["wanted"], query["sort"], page=query["page"], size=size)
    return jsonify(
        items=[picture.shown(rt()) for picture in page.items],
        total_items=page.total,
        page=query["page"],
        page_size=size,
        total_pages=-(-page.total // size),
    )


@blp.route("/<image_id>")
@blp.arguments(ImageQuerySchema, location="query")
@blp.response(200, answers.PictureAnswer)
@blp.alt_response(304, description="Nothing but its use has changed since the ETag that was sent.")
def find(query: dict[str, Any], image_id: str) -> Response:
    """Tell what there is of a picture, and count that it was used."""
    picture = found.find(rt(), who(), image_id)
    tally().use(image_id)
    etag = f"{picture.etag(rt())}-{int(query['include_data'])}"
    if request.if_none_match.contains_weak(etag):
        response = Response(status=304)
    else:
        response = jsonify(picture.shown(rt(), data=query["include_data"]))
    response.set_etag(etag, weak=True)
    response.cache_control.no_cache = True
    return response


@blp.route("/<image_id>/feature", methods=["PUT"])
@blp.arguments(FeatureSchema, required=False)
@blp.response(200, answers.FeatureAnswer)
def feature(form: dict[str, Any], image_id: str) -> Response:
    """Show this picture first of its subject, and no other; without a body, turn that on or off."""
    featured = featuring.feature(rt(), who(), image_id, featured=form["featured"])
    asset = found.find(rt(), who(), image_id).asset
    return jsonify(id=image_id, is_featured=featured, subject_name=asset.name)


@blp.route("/<image_id>", methods=["DELETE"])
@blp.response(200, answers.DeletedAnswer)
def delete(image_id: str) -> Response:
    """Delete a picture; it can be put back for some weeks."""
    until = trash.delete(rt(), who(), image_id)
    return jsonify(
        id=image_id, status="deleted", message="Image marked for deletion", restorable_until=iso(until)
    )


@blp.route("/<image_id>/restore", methods=["POST"])
@blp.response(200, answers.PictureAnswer)
def restore(image_id: str) -> Response:
    """Put a deleted picture back."""
    trash.restore(rt(), who(), image_id)
    return jsonify(found.find(rt(), who(), image_id).shown(rt()))
