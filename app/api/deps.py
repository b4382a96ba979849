"""What a view is handed: the tools, and who asks. The only module that reads `current_app` and `g`."""

from typing import cast

from flask import Flask, current_app, g

from app.runtime import Runtime
from app.services.identity import Who

_KEY = "atelier.runtime"


def install(app: Flask, runtime: Runtime) -> None:
    app.extensions[_KEY] = runtime


def rt() -> Runtime:
    """Return the tools that the application was built with."""
    return cast("Runtime", current_app.extensions[_KEY])


def know(who: Who) -> None:
    """Remember for this request who asks."""
    g.who = who


def who() -> Who:
    """Return who asks; only behind the check of app/api/auth.py."""
    return cast("Who", g.who)


def known() -> Who | None:
    """Return who asks, or None where nobody has to say so."""
    return cast("Who | None", g.get("who"))
