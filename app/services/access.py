"""Users, their passwords and keys, and whether what they show is still good."""

import hashlib
import hmac
import json
import secrets
import uuid
from datetime import datetime
from functools import cache
from typing import Any

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError
from sqlalchemy import Connection, Row, text
from sqlalchemy.exc import IntegrityError

from app.domain.errors import AccessDenied, FieldFault, Invalid, NotFound
from app.domain.vocabulary import Role
from app.runtime import Runtime
from app.services.identity import Who

KEY_PREFIX = "atl"
MIN_PASSWORD = 10
MAX_NAME = 200
_hasher = PasswordHasher()


def log_in(rt: Runtime, username: str, password: str) -> Who:
    """Return who this is. Raises AccessDenied, the same for a wrong name and a wrong password."""
    with rt.db.once() as tx:
        row = tx.execute(_BY_NAME, {"username": username}).one_or_none()
    try:
        _hasher.verify(row.password_hash if row else _nobody(), password)
    except VerificationError:
        raise AccessDenied("Access denied") from None
    if row is None or row.disabled_at:
        raise AccessDenied("Access denied")
    return _who(row)


def by_key(rt: Runtime, shown: str) -> Who:
    """Return whose API key this is. Raises AccessDenied."""
    prefix, _, rest = shown.partition("_")
    secret = rest.partition("_")[2]
    row = _of_key(rt, key_id(shown))
    if not hmac.compare_digest(row.secret_sha256, _sha256(secret)) or prefix != KEY_PREFIX:
        raise AccessDenied("Access denied")
    return _who(row)


def key_id(shown: str) -> uuid.UUID:
    """Return the id in an API key, which is no secret. Raises AccessDenied where that is none."""
    try:
        return uuid.UUID(shown.split("_")[1])
    except (ValueError, IndexError):
        raise AccessDenied("Access denied") from None


def by_key_id(rt: Runtime, found: uuid.UUID) -> Who:
    """Return whose API key it is that was shown before. Raises AccessDenied where it was revoked since."""
    return _who(_of_key(rt, found))


def by_token(rt: Runtime, subject: str, jti: str, issued: float) -> Who:
    """Return whose token this is, if the user may still use it. Raises AccessDenied."""
    try:
        user_id = uuid.UUID(subject)
    except ValueError:
        raise AccessDenied("Invalid token") from None
    with rt.db.once() as tx:
        row = tx.execute(_BY_TOKEN, {"id": user_id, "jti": jti}).one_or_none()
    if row is None or row.disabled_at or row.revoked or issued < row.tokens_valid_after.timestamp():
        raise AccessDenied("Invalid token")
    return _who(row)


def revoke(rt: Runtime, jti: str, expires_at: datetime) -> bool:
    """Make one token void; return False where it was already."""
    with rt.db.once() as tx:
        return tx.execute(_REVOKE, {"jti": jti, "expires_at": expires_at}).rowcount == 1


def revoke_all(rt: Runtime, user_id: uuid.UUID) -> None:
    """Make every token void that the user was given up to now."""
    with rt.db.once() as tx:
        tx.execute(_REVOKE_ALL, {"id": user_id, "now": rt.clock()})


def add_user(rt: Runtime, actor: str, username: str, password: str, role: Role) -> uuid.UUID:
    """Create a user; return the id. Raises Invalid where the name is taken or bad, or the password is short."""
    if not 1 <= len(username) <= MAX_NAME:
        raise Invalid(FieldFault("username", f"Must have 1 to {MAX_NAME} characters."))
    _check_password(password)
    user_id = uuid.uuid4()
    given = {"id": user_id, "username": username, "hash": _hasher.hash(password), "role": str(role)}
    try:
        with rt.db.begin() as tx:
            tx.execute(_ADD_USER, given)
            audit(tx, actor, "user.add", username, role=str(role))
    except IntegrityError:
        raise Invalid(FieldFault("username", "There is a user of this name.")) from None
    return user_id


def set_password(rt: Runtime, actor: str, username: str, password: str) -> None:
    """Change a password; every token given before is void. Raises Invalid, NotFound."""
    _check_password(password)
    given = {"username": username, "hash": _hasher.hash(password), "now": rt.clock()}
    with rt.db.begin() as tx:
        if tx.execute(_SET_PASSWORD, given).rowcount != 1:
            raise NotFound("User not found")
        audit(tx, actor, "user.passwd", username)


def change_user(
    rt: Runtime, actor: str, user_id: uuid.UUID, *, role: Role | None, disabled: bool | None
) -> dict[str, Any]:
    """Change a user's role or lock the user out; tokens given before are void. Raises NotFound."""
    given = {"id": user_id, "role": role and str(role), "disabled": disabled, "now": rt.clock()}
    with rt.db.begin() as tx:
        row = tx.execute(_CHANGE_USER, given).mappings().one_or_none()
        if row is None:
            raise NotFound("User not found")
        audit(tx, actor, "user.change", row["username"], role=role and str(role), disabled=disabled)
        return dict(row)


def users(rt: Runtime) -> list[dict[str, Any]]:
    with rt.db.once() as tx:
        return [dict(row) for row in tx.execute(_USERS).mappings()]


def find_user(rt: Runtime, username: str) -> Who:
    """Return the user of that name. Raises NotFound."""
    with rt.db.once() as tx:
        row = tx.execute(_BY_NAME, {"username": username}).one_or_none()
    if row is None:
        raise NotFound(f"There is no user {username}.")
    return _who(row)


def add_key(rt: Runtime, actor: str, user_id: uuid.UUID, name: str) -> tuple[uuid.UUID, str]:
    """Give a user an API key; return its id and the key itself, which is shown this once. Raises NotFound."""
    key_id, secret = uuid.uuid4(), secrets.token_urlsafe(32)
    with rt.db.begin() as tx:
        given = {"id": key_id, "user": user_id, "name": name, "sha256": _sha256(secret)}
        if tx.execute(_ADD_KEY, given).rowcount != 1:
            raise NotFound("User not found")
        audit(tx, actor, "key.add", str(key_id), name=name)
    return key_id, f"{KEY_PREFIX}_{key_id.hex}_{secret}"


def revoke_key(rt: Runtime, actor: str, key_id: uuid.UUID, *, owner: uuid.UUID | None) -> None:
    """Make a key void; `owner` None is an administrator's reach. Raises NotFound."""
    with rt.db.begin() as tx:
        if tx.execute(_REVOKE_KEY, {"id": key_id, "owner": owner}).rowcount != 1:
            raise NotFound("Key not found")
        audit(tx, actor, "key.revoke", str(key_id))


def keys(rt: Runtime, *, owner: uuid.UUID | None) -> list[dict[str, Any]]:
    with rt.db.once() as tx:
        return [dict(row) for row in tx.execute(_KEYS, {"owner": owner}).mappings()]


@cache
def _nobody() -> str:
    """Return a hash to check where there is no such user, so that the time taken doesn't tell which names exist."""
    return _hasher.hash(secrets.token_urlsafe())


def _check_password(password: str) -> None:
    if len(password) < MIN_PASSWORD:
        raise Invalid(FieldFault("password", f"Must have at least {MIN_PASSWORD} characters."))


def _of_key(rt: Runtime, found: uuid.UUID) -> Row[Any]:
    with rt.db.once() as tx:
        row = tx.execute(_BY_KEY, {"id": found}).one_or_none()
    if row is None:
        raise AccessDenied("Access denied")
    return row


def _who(row: Row[Any]) -> Who:
    return Who(row.id, row.username, Role(row.role))


def _sha256(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def audit(tx: Connection, actor: str, action: str, target: str, **details: Any) -> None:
    tx.execute(_AUDIT, {"actor": actor, "action": action, "target": target, "details": json.dumps(details)})


_BY_NAME = text(
    "SELECT id, username, role, password_hash, disabled_at FROM users WHERE lower(username) = lower(:username)"
)
_BY_KEY = text("""
SELECT u.id, u.username, u.role, k.secret_sha256
FROM api_keys AS k JOIN users AS u ON u.id = k.user_id
WHERE k.id = :id AND k.revoked_at IS NULL AND u.disabled_at IS NULL
""")
_BY_TOKEN = text("""
SELECT id, username, role, disabled_at, tokens_valid_after,
    EXISTS (SELECT FROM revoked_tokens WHERE jti = :jti) AS revoked
FROM users WHERE id = :id
""")
_REVOKE = text(
    "INSERT INTO revoked_tokens (jti, expires_at) VALUES (:jti, :expires_at) ON CONFLICT DO NOTHING"
)
_REVOKE_ALL = text("UPDATE users SET tokens_valid_after = :now WHERE id = :id")
_ADD_USER = text(
    "INSERT INTO users (id, username, password_hash, role) VALUES (:id, :username, :hash, :role)"
)
_SET_PASSWORD = text("""
UPDATE users SET password_hash = :hash, tokens_valid_after = :now WHERE lower(username) = lower(:username)
""")
_CHANGE_USER = text("""
UPDATE users SET role = COALESCE(:role, role), tokens_valid_after = :now,
    disabled_at = CASE
        WHEN CAST(:disabled AS boolean) IS NULL THEN disabled_at
        WHEN CAST(:disabled AS boolean) THEN COALESCE(disabled_at, :now) END
WHERE id = :id RETURNING id, username, role, disabled_at, created_at
""")
_USERS = text(
    "SELECT id, username, role, disabled_at, created_at FROM users ORDER BY lower(username) LIMIT 1000"
)
_ADD_KEY = text("""
INSERT INTO api_keys (id, user_id, name, secret_sha256)
SELECT :id, id, :name, :sha256 FROM users WHERE id = :user AND disabled_at IS NULL
""")
_REVOKE_KEY = text("""
UPDATE api_keys SET revoked_at = clock_timestamp()
WHERE id = :id AND revoked_at IS NULL AND (CAST(:owner AS uuid) IS NULL OR user_id = :owner)
""")
_KEYS = text("""
SELECT k.id, k.name, u.username, k.created_at, k.revoked_at
FROM api_keys AS k JOIN users AS u ON u.id = k.user_id
WHERE CAST(:owner AS uuid) IS NULL OR k.user_id = :owner
ORDER BY k.created_at DESC LIMIT 1000
""")
_AUDIT = text(
    "INSERT INTO audit_log (actor, action, target, details)"
    " VALUES (:actor, :action, :target, CAST(:details AS jsonb))"
)
