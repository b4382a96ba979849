"""Assets and their files [A31]-[A35]. Ids and names in paths are looked up in SQL and a fixed table, never on the disk."""

from typing import Any

from flask import Response, abort, jsonify, request

from app.api import answers as common
from app.api.deps import rt, who
from app.api.files import send
from app.api.forge import answers
from app.api.forge.schemas import AssetListSchema, ChangeSchema, DeleteSchema
from app.api.headers import link_next
from app.api.schemas import Blueprint
from app.services import links
from app.services.forge import assets, files
from app.services.lookup import File

blp = Blueprint("forge-assets", __name__, url_prefix="/api/assets", description="3D assets")
_GLB = "model/gltf-binary"
_IF_MATCH: list[dict[str, Any]] = [
    {
        "in": "header",
        "name": "If-Match",
        "required": False,
        "description": "The ETag of the asset that is to be changed; 412 where it is another by now.",
        "schema": {"type": "string"},
    }
]


@blp.route("")
@blp.arguments(AssetListSchema, location="query")
@blp.response(200, answers.AssetAnswer(many=True))
def listing(query: dict[str, Any]) -> Response:
    """List assets, the newest first; the address of the next page is in the Link header."""
    items, cursor = assets.listing(rt(), who(), **query)
    response = jsonify(items)
    response.cache_control.no_store = True
    if cursor:
        link_next(response, cursor)
    return response


@blp.route("/<asset_id>")
@blp.response(200, answers.AssetAnswer)
@blp.alt_response(304, description="It is the one whose ETag was sent")
def find(asset_id: str) -> Response:
    """Tell about an asset."""
    return _conditional(_shown(asset_id))


@blp.route("/<asset_id>", methods=["PATCH"])
@blp.arguments(ChangeSchema)
@blp.response(200, answers.AssetAnswer)
@blp.alt_response(412, schema=common.ProblemAnswer, content_type="application/problem+json",
                  description="It was changed meanwhile")  # fmt: skip
@blp.doc(parameters=_IF_MATCH)
def change(changed: dict[str, Any], asset_id: str) -> Response:
    """Change name, type, subtype, description or tags."""
    if not assets.change(rt(), who(), asset_id, changed, versions=_versions()):
        abort(412, "The asset was changed meanwhile: read it again.")
    return _shown(asset_id)


@blp.route("/<asset_id>", methods=["DELETE"])
@blp.arguments(DeleteSchema, location="query")
@blp.response(200, answers.AssetDeleteAnswer)
def delete(query: dict[str, Any], asset_id: str) -> Response:
    """Delete an asset, with `includeVariants` its variants too; else they stay, on their own."""
    gone = assets.delete(rt(), who(), asset_id, variants=query["include_variants"])
    return jsonify(success=True, message=f"Asset {asset_id} deleted successfully", deleted=gone)


@blp.route("/<asset_id>/model")
@blp.response(200, common.BINARY, content_type=_GLB, description="The file; Range and ETag are understood")
@blp.alt_response(206, schema=common.BINARY, content_type=_GLB, description="A part of it")
@blp.alt_response(304, description="It is the one whose ETag was sent")
def model(asset_id: str) -> Response:
    """Get an asset's model as GLB: an avatar's with its skeleton, where it has one."""
    role, file = files.model(rt(), who(), asset_id)
    return _sent(file, f"{asset_id}-{role}")


@blp.route("/<asset_id>/<path:file>")
@blp.response(200, common.BINARY, content_type="*/*", description="The file; Range and ETag are understood")
@blp.alt_response(206, schema=common.BINARY, content_type="*/*", description="A part of it")
@blp.alt_response(304, description="It is the one whose ETag was sent")
def part(asset_id: str, file: str) -> Response:
    """Get a file by its role, or a name of the document: concept-art.png, sprites/90deg.png, metadata.json."""
    if file == files.METADATA:
        return _conditional(_shown(asset_id))
    role, found = files.find(rt(), who(), asset_id, file)
    return _sent(found, f"{asset_id}-{role}")


def _sent(file: File, name: str) -> Response:
    """Send a file that may be another tomorrow: kept by caches, but asked after each time."""
    response = send(file, name)
    del response.cache_control.immutable
    del response.cache_control.max_age
    response.cache_control.no_cache = True
    return response


def _shown(asset_id: str) -> Response:
    answer, version = assets.find(rt(), who(), asset_id)
    response = jsonify(answer)
    # The addresses in it are good for a period, and its variants come and go without it.
    response.set_etag(f"{version}-{links.period(rt())}-{len(answer['metadata']['variants'])}")
    response.cache_control.no_cache = True
    return response


def _conditional(response: Response) -> Response:
    """Return it, or 304 where the client has it."""
    response.make_conditional(request)
    return response


def _versions() -> list[int] | None:
    """Return the versions that may be changed, None where it may be any. A weak ETag is none of them (RFC 9110, 13.1.1)."""
    wanted = request.if_match
    if wanted.star_tag or "If-Match" not in request.headers:
        return None
    versions = [tag.partition("-")[0] for tag in wanted.as_set() if tag]
    return [int(one) for one in versions if one.isascii() and one.isdigit() and len(one) < 10]
