"""The words that assets are described with [A43]."""

from typing import Any

from flask import Response, jsonify

from app.api.deps import rt, who
from app.api.forge import answers
from app.api.forge.prompt_schemas import PromptQuerySchema, PromptsSchema
from app.api.schemas import Blueprint
from app.domain.errors import NotFound
from app.services.forge import prompts
from app.services.forge.prompts import PromptSet, Template

blp = Blueprint("forge-prompts", __name__, url_prefix="/api/prompts", description="Prompts")


@blp.route("/<prompt_type>")
@blp.response(200, answers.PromptsAnswer)
def listing(prompt_type: str) -> Response:
    """Get a set of prompts: `default` are shipped, `custom` one's own, which stand before them."""
    return jsonify(prompts.shown(rt(), who(), _set(prompt_type)))


@blp.route("/<prompt_type>", methods=["POST"])
@blp.arguments(PromptsSchema)
@blp.response(200, answers.SavedAnswer)
def save(templates: list[Template], prompt_type: str) -> Response:
    """Keep a prompt, or a set of them, as one's own."""
    saved = prompts.save(rt(), who(), _set(prompt_type), templates)
    return jsonify(success=True, message="Prompts updated successfully", saved=saved)


@blp.route("/<prompt_type>/<prompt_id>", methods=["DELETE"])
@blp.arguments(PromptQuerySchema, location="query")
@blp.response(200, answers.SavedAnswer)
def delete(query: dict[str, Any], prompt_type: str, prompt_id: str) -> Response:
    """Forget a prompt of one's own; an asset type's id may be without its `category`."""
    category = query.get("category")
    named = f"{category}-{prompt_id}" if category else prompt_id
    prompts.delete(rt(), who(), _set(prompt_type), named)
    return jsonify(success=True, message="Prompt deleted successfully")


def _set(named: str) -> PromptSet:
    try:
        return PromptSet(named)
    except ValueError:
        raise NotFound("There is no such set of prompts") from None
