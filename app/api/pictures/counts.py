"""The one tally of an application; it is written down for the last time when the process ends."""

import atexit

from flask import current_app

from app.api.deps import rt
from app.services.tally import Tally

EXTENSION = "atelier.tally"


def tally() -> Tally:
    """Return the counts of this process, made when first asked for: after gunicorn has forked."""
    found: Tally | None = current_app.extensions.get(EXTENSION)
    if found is None or found.db is not rt().db:
        found = current_app.extensions[EXTENSION] = Tally(rt().db)
        atexit.register(found.close)
    return found
