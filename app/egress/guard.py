"""Which places may be connected to, where the address came from outside.

Checked on the address that is connected to, at the moment it is connected to: what a name resolved to
before, or how another parser reads the URL, doesn't matter. Python's own `is_global` is True for several
ranges that lead back inside (NAT64, 6to4, IPv4-compatible), so the ranges are listed here: the IANA special-purpose registries,
RFC 6890 and its updates.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from app.egress.errors import Refused

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# Where files are served. A name from outside may not make us speak to a mail server or a database.
OPEN_PORTS = frozenset({80, 443, 8080, 8443})

_CLOSED_4 = [
    ip_network(one)
    for one in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
]
# Of IPv6 only global unicast is open at all, and of that not what wraps an IPv4 address or documents one.
_OPEN_6 = IPv6Network("2000::/3")
_CLOSED_6 = [
    ip_network(one) for one in ("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20")
]
_HOST_AND_PORT = re.compile(
    r"(?P<host>[a-z0-9_][a-z0-9._-]*|\[(?P<six>[0-9a-f:.]+)\])(?::(?P<port>[0-9]{1,5}))?", re.ASCII
)


@dataclass(frozen=True)
class _Place:
    """What one entry of the operator's list names: a host by its name or a network, at a port or at all."""

    name: str | None
    network: Network | None
    port: int | None

    def holds(self, host: str, port: int, address: Address) -> bool:
        if self.port not in {None, port}:
            return False
        return address in self.network if self.network else host == self.name


class Guard:
    """Refuses what isn't public, but for what the operator allows: hosts, host:port, addresses, or networks.

    An address in the list is that address, whatever name or spelling leads to it; a name is only itself, and
    whatever it resolves to. Raises ValueError for an entry that is none of these.
    """

    def __init__(self, allow: Sequence[str] = ()) -> None:
        self._places = [_place(entry.strip().lower()) for entry in allow if entry.strip()]

    def allows(self, host: str, port: int, address: str) -> bool:
        """Whether the operator named this place."""
        name, found = host.lower().rstrip("."), _read(address)
        return any(place.holds(name, port, found) for place in self._places)

    def check(self, host: str, port: int, address: str, *, here: str | None = None) -> None:
        """Raise Refused where `address`, which `host` resolved to, is not a public one, or the port not a usual one.

        `here` is our own side of the connection, once there is one: a machine that reaches itself over its
        public address is inside all the same.
        """
        if self.allows(host, port, address):
            return
        if not public(address) or (here is not None and _read(here) == _read(address)):
            raise Refused(f"{host} is not a public address")
        if port not in OPEN_PORTS:
            raise Refused(f"{port} is not a port that files are fetched from")


def public(address: str) -> bool:
    """Whether an address in text is a public unicast one."""
    found = _read(address)
    if isinstance(found, IPv4Address):
        return not any(found in network for network in _CLOSED_4)
    return found in _OPEN_6 and not any(found in network for network in _CLOSED_6)


def _read(address: str) -> Address:
    # A scope id ("fe80::1%eth0") is not part of the address, and ::ffff:10.0.0.1 is 10.0.0.1.
    found = ip_address(address.partition("%")[0])
    return found.ipv4_mapped or found if isinstance(found, IPv6Address) else found


def _place(entry: str) -> _Place:
    if network := _network(entry):
        return _Place(None, network, None)
    found = _HOST_AND_PORT.fullmatch(entry)
    network = _network(found["six"] or found["host"]) if found else None
    if found is None or (found["six"] and not network):
        raise ValueError(f"{entry!r} is neither a host, a host:port, an address nor a network")
    return _Place(found["host"].rstrip("."), network, int(found["port"]) if found["port"] else None)


def _network(words: str) -> Network | None:
    try:
        return ip_network(words)
    except ValueError:
        return None
