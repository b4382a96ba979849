"""One line of JSON per event, with the ids that tie lines together, and never a secret or a prompt.

Only fields that are passed by name are written; what might hold a secret is dropped by its name.
"""

import logging
import sys
import traceback
from typing import Any

import structlog
from structlog.types import EventDict, WrappedLogger

_SECRET = frozenset(
    {
        "prompt",
        "authorization",
        "token",
        "password",
        "secret",
        "api_key",
        "url",
        "body",
        "handle",
    }
)


def configure(level: str = "INFO", form: str = "json") -> None:
    """Send our own lines and those of libraries to standard error in one form."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _frames,
        _redact,
    ]
    last: Any = structlog.dev.ConsoleRenderer() if form == "console" else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[*shared, last],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[_plain, last])
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    # Its warnings quote whole addresses, which may hold a key, and what a server said.
    logging.getLogger("urllib3").setLevel(logging.ERROR)


def _redact(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    return {name: "***" if name in _SECRET else value for name, value in line.items()}


def _frames(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    """Write an exception as the types and places it came from, without its words: those may quote a prompt or a key."""
    if not line.pop("exc_info", None):
        return line
    error = sys.exc_info()[1]
    places = (
        [
            f"{frame.filename}:{frame.lineno} {frame.name}"
            for frame in traceback.extract_tb(error.__traceback__)
        ]
        if error
        else []
    )
    return {**line, "error": _types(error), "at": places}


def _types(error: BaseException | None) -> str:
    names = []
    while error is not None:
        names.append(type(error).__name__)
        error = error.__cause__ or error.__context__
    return " < ".join(names)


def _plain(logger: WrappedLogger, method: str, line: EventDict) -> EventDict:
    return structlog.stdlib.ProcessorFormatter.remove_processors_meta(logger, method, line)
