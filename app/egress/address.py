r"""Reads addresses in one way only: what two parsers could read as two places is refused.

The classic is `http://127.0.0.1\@example.com/`: one host to some, the other to others. So an address is taken
only where its host and port are plain ASCII that nothing can reinterpret; whether that host may be connected to
is for the guard, on the address that is connected to.
"""

import re
from ipaddress import IPv6Address
from typing import NamedTuple

from app.egress.errors import Refused

_MOST_CHARACTERS = 16_384
_PORTS = {"http": 80, "https": 443}
# Control characters and tabs are dropped by some parsers, and a backslash is a slash to others.
_AMBIGUOUS = re.compile(r"[\x00-\x1f\x7f\\]")
_PLAIN = re.compile(
    r"(?P<scheme>https?)://"
    r"(?:(?P<name>[a-z0-9_][a-z0-9._-]*)|\[(?P<six>[0-9a-f:.]+)\])"
    r"(?::(?P<port>[0-9]{1,5}))?"
    r"(?=[/?#]|\Z)",
    re.IGNORECASE | re.ASCII,
)


class Origin(NamedTuple):
    """Where an address leads: everything of it but path and query; in lower case, an IPv6 host without brackets."""

    scheme: str
    host: str
    port: int


def origin(url: str) -> Origin:
    """Return where `url` leads. Raises Refused for what isn't a plain http(s) address without credentials in it."""
    found = None
    if isinstance(url, str) and len(url) <= _MOST_CHARACTERS and not _AMBIGUOUS.search(url):
        found = _PLAIN.match(url)
    if found is None:
        raise Refused("that is not a plain http or https address")
    scheme = found["scheme"].lower()
    port = int(found["port"] or _PORTS[scheme])
    if not 1 <= port <= 65_535 or (found["six"] and not _is_address(found["six"])):
        raise Refused("that is not a plain http or https address")
    return Origin(scheme, (found["name"] or found["six"]).lower(), port)


def checked(url: str) -> str:
    """Return `url` where it is a plain http(s) address; raise Refused for anything else."""
    origin(url)
    return url


def _is_address(host: str) -> bool:
    try:
        IPv6Address(host)
    except ValueError:
        return False
    return True
