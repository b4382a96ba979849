"""Users and API keys. Administrators manage all; everybody else their own keys."""

import uuid
from typing import Any

from flask import Response, jsonify

from app.api import answers, auth
from app.api.auth import allow
from app.api.deps import rt, who
from app.api.schemas import Blueprint, ChangeUserSchema, NewKeySchema, NewUserSchema
from app.clock import iso
from app.domain.errors import NotAllowed
from app.domain.vocabulary import Role
from app.services import access

blp = Blueprint("people", __name__, url_prefix="/api/auth", description="Users and API keys")


@blp.route("/users")
@allow(Role.ADMIN)
@blp.response(200, answers.UserListAnswer)
def users() -> Response:
    """List the users."""
    return jsonify(users=[_user(row) for row in access.users(rt())])


@blp.route("/users", methods=["POST"])
@allow(Role.ADMIN)
@blp.arguments(NewUserSchema)
@blp.response(201, answers.UserAnswer)
def add_user(form: dict[str, Any]) -> tuple[Response, int]:
    """Create a user."""
    user_id = access.add_user(rt(), who().username, form["username"], form["password"], form["role"])
    return jsonify(id=str(user_id), username=form["username"], role=form["role"], disabled=False), 201


@blp.route("/users/<uuid:user_id>", methods=["PATCH"])
@allow(Role.ADMIN)
@blp.arguments(ChangeUserSchema)
@blp.response(200, answers.UserAnswer)
def change_user(form: dict[str, Any], user_id: uuid.UUID) -> Response:
    """Change a user's role, or lock the user out; their tokens are void from then on."""
    row = access.change_user(rt(), who().username, user_id, role=form["role"], disabled=form["disabled"])
    auth.forget_trusted()
    return jsonify(_user(row))


@blp.route("/keys")
@blp.response(200, answers.KeyListAnswer)
def keys() -> Response:
    """List API keys: an administrator's list has everybody's."""
    return jsonify(keys=[_key(row) for row in access.keys(rt(), owner=_reach())])


@blp.route("/keys", methods=["POST"])
@blp.arguments(NewKeySchema)
@blp.response(201, answers.KeyAnswer)
def add_key(form: dict[str, Any]) -> tuple[Response, int]:
    """Create an API key; the answer is the only place where it is shown."""
    owner = form["user_id"] or who().user_id
    if owner != who().user_id and who().role is not Role.ADMIN:
        raise NotAllowed("Only an administrator may create a key for somebody else.")
    key_id, shown = access.add_key(rt(), who().username, owner, form["name"])
    return jsonify(id=str(key_id), name=form["name"], key=shown), 201


@blp.route("/keys/<uuid:key_id>", methods=["DELETE"])
@blp.response(200, answers.DoneAnswer)
def revoke_key(key_id: uuid.UUID) -> Response:
    """Make an API key void."""
    access.revoke_key(rt(), who().username, key_id, owner=_reach())
    auth.forget_trusted()
    return jsonify(success=True)


def _reach() -> uuid.UUID | None:
    return None if who().role is Role.ADMIN else who().user_id


def _user(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": str(row["id"]),
        "username": row["username"],
        "role": row["role"],
        "disabled": row["disabled_at"] is not None,
        "createdAt": iso(row["created_at"]),
    }


def _key(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": str(row["id"]),
        "name": row["name"],
        "username": row["username"],
        "createdAt": iso(row["created_at"]),
        "revokedAt": iso(row["revoked_at"]) if row["revoked_at"] else None,
    }
