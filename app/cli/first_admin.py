"""The first user, so that somebody can log in to a new service."""

import json
import shlex

from app.cli.site import Site
from app.cli.user import made_up
from app.domain.errors import Invalid
from app.domain.vocabulary import Role
from app.runtime import Runtime
from app.services import access

NAME = "admin"
_ACTOR = "first start"


def ensure(rt: Runtime) -> str | None:
    """Add the user `admin` where there is no user at all; return the password made up for it, else None."""
    if access.users(rt):
        return None
    password = made_up()
    try:
        access.add_user(rt, _ACTOR, NAME, password, Role.ADMIN)
    except Invalid:
        # Another start on the same database was quicker.
        return None
    return password


def how_to_log_in(site: Site, url: str, password: str | None) -> str:
    """Return what a person is told; the password is shown only when it was just made."""
    if password is None:
        return f"If you forgot the password of {NAME}, set a new one: {site.spelled(f'user passwd {NAME}')}"
    body = json.dumps({"username": NAME, "password": password})
    return (
        f"The first user was added: {NAME}, with the password  {password}  (it is shown this once).\n"
        "This gets an access token:\n"
        f"  curl -s {url}/api/auth/token -H 'Content-Type: application/json' -d {shlex.quote(body)}"
    )
