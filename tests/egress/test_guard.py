"""No address that leads inside is ever taken for a public one, however it is written or resolved."""

import socket
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.egress import guard as guarding
from app.egress.errors import Refused, Unanswered, Unreached
from app.egress.guard import OPEN_PORTS, Guard, public
from app.egress.sender import Egress
from app.egress.wiring import Exchange
from tests.egress.lines import answer, says

# https://www.iana.org/assignments/iana-ipv4-special-registry, and multicast.
CLOSED_4 = {
    "this network": "0.0.0.0/8",
    "private, 10": "10.0.0.0/8",
    "shared (CGNAT)": "100.64.0.0/10",
    "loopback": "127.0.0.0/8",
    "link-local and cloud metadata": "169.254.0.0/16",
    "private, 172": "172.16.0.0/12",
    "protocol assignments": "192.0.0.0/24",
    "TEST-NET-1": "192.0.2.0/24",
    "AS112": "192.31.196.0/24",
    "AMT": "192.52.193.0/24",
    "6to4 relays": "192.88.99.0/24",
    "private, 192": "192.168.0.0/16",
    "AS112, direct delegation": "192.175.48.0/24",
    "benchmarks": "198.18.0.0/15",
    "TEST-NET-2": "198.51.100.0/24",
    "TEST-NET-3": "203.0.113.0/24",
    "multicast": "224.0.0.0/4",
    "reserved": "240.0.0.0/4",
    "broadcast": "255.255.255.255/32",
}
# https://www.iana.org/assignments/iana-ipv6-special-registry, and what was one before.
CLOSED_6 = {
    "unspecified": "::/128",
    "loopback": "::1/128",
    "IPv4-compatible": "::/96",
    "translated (SIIT)": "::ffff:0:0:0/96",
    "NAT64": "64:ff9b::/96",
    "local NAT64": "64:ff9b:1::/48",
    "discard only": "100::/64",
    "dummy prefix": "100:0:0:1::/64",
    "protocol assignments": "2001::/23",
    "Teredo": "2001::/32",
    "benchmarks": "2001:2::/48",
    "AMT": "2001:3::/32",
    "AS112": "2001:4:112::/48",
    "ORCHID": "2001:10::/28",
    "ORCHIDv2": "2001:20::/28",
    "drones": "2001:30::/28",
    "documentation": "2001:db8::/32",
    "6to4": "2002::/16",
    "AS112, direct delegation": "2620:4f:8000::/48",
    "documentation, the larger": "3fff::/20",
    "SRv6": "5f00::/16",
    "unique local": "fc00::/7",
    "link-local": "fe80::/10",
    "site-local": "fec0::/10",
    "multicast": "ff00::/8",
}
ALL = [ip_network(one) for one in (*CLOSED_4.values(), *CLOSED_6.values())]
OPEN = ("1.1.1.1", "8.8.8.8", "93.184.216.34", "172.15.255.255", "172.32.0.0", "192.0.1.0", "223.255.255.255")
OPEN_6 = ("2606:4700:4700::1111", "2a00:1450:4001:80b::200e", "2001:200::1", "2003::1", "2620:4f:8001::1")


def inside(network: Any) -> st.SearchStrategy[Any]:
    kind = IPv4Address if network.version == 4 else IPv6Address
    return st.integers(int(network[0]), int(network[-1])).map(kind)


def resolving(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Let names resolve to these addresses, a list for each look-up, the last for ever; return who was asked for."""
    asked: list[str] = []

    def look_up(host: str, port: int, *_more: object, **_named: object) -> list[Any]:
        asked.append(host)
        addresses = answers[min(len(asked), len(answers)) - 1]
        return [
            (socket.AF_INET6 if ":" in one else socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port))
            for one in addresses
        ]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return asked


@pytest.mark.parametrize("name", [*CLOSED_4, *(f"v6 {name}" for name in CLOSED_6)])
def test_no_range_of_the_registries_is_public(name):
    network = ip_network(CLOSED_4[name] if name in CLOSED_4 else CLOSED_6[name.removeprefix("v6 ")])
    middle = network[network.num_addresses // 2]
    assert not any(public(str(one)) for one in (network[0], middle, network[-1]))


@pytest.mark.parametrize("name", CLOSED_4)
def test_nor_is_it_when_wrapped_in_ipv6(name):
    for four in (ip_network(CLOSED_4[name])[0], ip_network(CLOSED_4[name])[-1]):
        number = int(four)
        wrapped = {
            "mapped": (0xFFFF << 32) | number,
            "compatible": number,
            "NAT64": (0x64FF9B << 96) | number,
            "6to4": (0x2002 << 112) | (number << 80) | 1,
            "Teredo": (0x20010000 << 96) | (number ^ 0xFFFFFFFF),
            "translated": (0xFFFF << 48) | number,
        }
        assert not any(public(str(IPv6Address(one))) for one in wrapped.values())


@settings(deadline=None)
@given(st.sampled_from(ALL).flatmap(inside))
def test_no_address_of_any_closed_range_is_public(address):
    assert not public(str(address))
    if address.version == 4:
        assert not public(f"::ffff:{address}")


@settings(deadline=None)
@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6), inside(ip_network("2000::/3"))))
def test_what_is_public_is_global_unicast_in_pythons_eyes_too(address):
    if public(str(address)):
        plain = getattr(address, "ipv4_mapped", None) or address
        assert plain.is_global
        assert not any((plain.is_multicast, plain.is_private, plain.is_reserved, plain.is_loopback))


@pytest.mark.parametrize("address", [*OPEN, *OPEN_6, *(f"::ffff:{one}" for one in OPEN)])
def test_the_neighbours_of_the_ranges_are_public(address):
    assert public(address)
    Guard().check("files.example", 443, address)


@pytest.mark.parametrize("address", ["fe80::1%eth0", "fe80::1%1", "::1%lo", "fec0::1%2"])
def test_a_scope_id_hides_nothing(address):
    assert not public(address)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "017700000001",
        "0",
        "0.0.0.0",
        "localhost",
        "LOCALHOST.",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[0:0:0:0:0:0:0:1]",
        "[::]",
    ],
)
def test_this_machine_is_refused_under_all_its_names(egress, serve, host):
    server = serve(says(answer()))
    with pytest.raises((Refused, Unreached)) as refusal:
        egress.fetch(f"http://{host}:{server.port}/", seconds=5, limit=100)
    # A machine without IPv6 has no address for some of them.
    assert isinstance(refusal.value, Refused) or ":" in host or host in {"localhost", "LOCALHOST."}
    assert server.connections == 0


@pytest.mark.parametrize(
    "addresses", [["8.8.8.8", "10.0.0.1"], ["10.0.0.1", "8.8.8.8"], ["8.8.8.8", "::1"], ["2002:7f00:1::1"]]
)
def test_a_name_with_one_private_address_among_others_is_refused(monkeypatch, egress, addresses):
    resolving(monkeypatch, addresses)
    monkeypatch.setattr(socket, "socket", lambda *_args: pytest.fail("nothing may be connected to"))
    with pytest.raises(Refused):
        egress.fetch("https://files.example/", seconds=5, limit=100)


def test_a_name_that_resolves_to_another_address_the_second_time_leads_to_the_one_that_was_checked(
    monkeypatch, serve
):
    wanted = serve(says(answer(b"the checked one")))
    other = serve(says(answer(b"the other one")), host="127.0.0.2", port=wanted.port)
    asked = resolving(monkeypatch, ["127.0.0.1"], ["127.0.0.2"])
    egress = Egress(allow=("127.0.0.1/32",))
    reply = egress.fetch(f"http://rebound.example:{wanted.port}/", seconds=5, limit=100)
    assert reply.body == b"the checked one"
    assert asked == ["rebound.example"]
    assert other.connections == 0
    with pytest.raises(Refused):
        egress.fetch(f"http://rebound.example:{wanted.port}/", seconds=5, limit=100)
    assert other.connections == 0


def test_a_name_without_addresses_is_nobody(monkeypatch, egress):
    resolving(monkeypatch, [])
    with pytest.raises(Unreached):
        egress.fetch("https://files.example/", seconds=5, limit=100)


def test_an_address_that_answers_nobody_is_passed_over_for_the_next(monkeypatch, serve):
    server = serve(says(answer()))
    resolving(monkeypatch, ["127.0.0.9", "127.0.0.1"])
    egress = Egress(allow=("127.0.0.0/8",))
    assert egress.fetch(f"http://files.example:{server.port}/", seconds=5, limit=100).ok


def test_a_machine_that_reaches_itself_over_its_public_address_is_refused(monkeypatch, serve):
    server = serve(says(answer()))
    monkeypatch.setattr(guarding, "public", lambda _address: True)
    monkeypatch.setattr(guarding, "OPEN_PORTS", frozenset({server.port}))
    with pytest.raises(Refused):
        Egress().fetch(f"{server.url}/", seconds=5, limit=100)
    assert server.seen in ([], [b"\r\n\r\n"]), "a byte of the request went out"
    with pytest.raises(Refused):
        Guard().check("here.example", 443, "::ffff:8.8.8.8", here="8.8.8.8")


@pytest.mark.parametrize("port", [22, 25, 53, 110, 143, 445, 3306, 5432, 6379, 9200, 11211])
def test_a_port_where_no_files_are_served_is_refused(port):
    assert port not in OPEN_PORTS
    with pytest.raises(Refused):
        Guard().check("files.example", port, "8.8.8.8")


class TestAllowed:
    def check(self, entry: str, host: str, port: int, address: str) -> bool:
        found = Guard([entry])
        try:
            found.check(host, port, address)
        except Refused:
            return False
        return True

    @pytest.mark.parametrize("host", ["nas.local", "NAS.local", "nas.local."])
    def test_a_host_by_its_name_at_any_port_and_any_address(self, host):
        assert self.check("nas.local", host, 9000, "10.0.0.5")
        assert self.check(" NAS.Local. ", host, 9000, "fd00::5")

    def test_another_name_for_the_same_address_is_another_host(self):
        assert not self.check("nas.local", "evil.example", 9000, "10.0.0.5")
        assert not self.check("nas.local", "nas.local.evil.example", 9000, "10.0.0.5")
        assert not self.check("nas.local", "evil-nas.local", 9000, "10.0.0.5")

    def test_a_host_at_one_port(self):
        assert self.check("nas.local:9000", "nas.local", 9000, "10.0.0.5")
        assert not self.check("nas.local:9000", "nas.local", 9001, "10.0.0.5")

    @pytest.mark.parametrize("entry", ["10.0.0.0/8", "10.0.0.5", "10.0.0.5/32", "10.0.0.5:9000"])
    @pytest.mark.parametrize("host", ["10.0.0.5", "0x0a000005", "anything.example"])
    @pytest.mark.parametrize("address", ["10.0.0.5", "::ffff:10.0.0.5"])
    def test_an_address_or_network_whatever_leads_to_it(self, entry, host, address):
        assert self.check(entry, host, 9000, address)
        assert not self.check(entry, host, 9000, "11.0.0.5")
        assert not self.check(entry, host, 9000, "192.168.0.5")

    @pytest.mark.parametrize("entry", ["::1", "[::1]", "[::1]:9000", "::/127"])
    def test_addresses_of_ipv6_with_brackets_or_without(self, entry):
        assert self.check(entry, "::1", 9000, "::1")
        assert not self.check(entry, "::1", 9000, "fe80::1%eth0")

    def test_an_address_at_one_port(self):
        assert not self.check("10.0.0.5:9000", "10.0.0.5", 22, "10.0.0.5")
        assert not self.check("[::1]:9000", "::1", 22, "::1")

    @pytest.mark.parametrize(
        "entry",
        [
            "http://nas.local",
            "*",
            "*.local",
            "10.0.0.5/8",
            "10.0.0.0/33",
            "nas.local:port",
            "a b",
            "[zz]",
            "[12]",
            "nas:1:2",
        ],
    )
    def test_an_entry_that_is_none_of_these_is_an_error_at_once(self, entry):
        with pytest.raises(ValueError, match="neither a host"):
            Egress(allow=(entry,))

    def test_nothing_is_allowed_by_nothing(self):
        assert not Guard(["", " "]).allows("nas.local", 80, "10.0.0.5")


def test_the_operators_own_address_needs_no_permission(egress, serve):
    server = serve(says(answer()))
    assert egress.send("GET", f"{server.url}/", seconds=5, limit=100, ours=True).body == b"hello"


def test_an_exchange_connects_once(serve):
    server = serve(says(answer()))
    with (
        Exchange(None, 5, 100) as exchange,
        exchange.connect("127.0.0.1", server.port, 1, ()),
        pytest.raises(Unanswered, match="one connection"),
    ):
        exchange.connect("127.0.0.1", server.port, 1, ())
    assert server.connections == 1
