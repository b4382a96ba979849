"""Whoever can't show who they are is told nothing."""

import ssl

import pytest

from app.egress.errors import Unanswered, Unreached
from app.egress.sender import Egress
from tests.egress.lines import Line, answer, says

KEYED = {"Authorization": "Bearer key of the tests"}


def refused(egress: Egress, server, url: str | None = None) -> Unreached:
    with pytest.raises(Unreached) as lost:
        egress.send("POST", url or f"{server.url}/", seconds=5, limit=100, ours=True, headers=KEYED, json={})
    assert lost.value.sent is False
    assert server.connections == 1
    assert not any(b"POST" in sent for sent in server.seen)
    return lost.value


def test_a_certificate_that_nobody_we_know_signed(serve, certified, egress):
    refused(egress, serve(says(answer()), certified.server))


def test_a_certificate_of_another_name(serve, misnamed):
    refused(Egress(authorities=misnamed.file), serve(says(answer()), misnamed.server))


def test_a_server_that_speaks_no_tls(serve, egress):
    server = serve(lambda line: line.say(answer()))
    refused(egress, server, server.url.replace("http:", "https:"))


def test_a_server_that_speaks_only_old_tls(serve, certified, old):
    refused(Egress(authorities=certified.file), serve(says(answer()), old))


def test_the_operators_own_authority_is_believed_beside_the_usual_ones(serve, certified):
    server = serve(says(answer(b"over TLS")), certified.server)
    egress = Egress(authorities=certified.file)
    usual = Egress()._trusted.cert_store_stats()["x509_ca"]
    assert egress._trusted.cert_store_stats()["x509_ca"] == usual + 1 > 100
    for host in ("127.0.0.1", "localhost"):
        reply = egress.send(
            "POST", f"https://{host}:{server.port}/", seconds=5, limit=100, ours=True, headers=KEYED
        )
        assert reply.body == b"over TLS"
    assert all(b"key of the tests" in sent for sent in server.seen)


def test_a_connection_that_breaks_under_tls_after_the_request_leaves_it_open(serve, certified):
    def act(line: Line) -> None:
        line.read()
        line.say(answer(b"x" * 100)[:-50])
        line.reset()

    server = serve(act, certified.server)
    with pytest.raises(Unanswered) as lost:
        Egress(authorities=certified.file).send("POST", f"{server.url}/", seconds=5, limit=1000, ours=True)
    assert lost.value.sent
    assert server.connections == 1


def test_many_at_once_share_what_they_trust(serve, certified):
    from concurrent.futures import ThreadPoolExecutor

    server = serve(says(answer(b"over TLS")), certified.server)
    egress = Egress(authorities=certified.file)

    def ask(_number: int) -> bytes:
        return egress.send("GET", f"{server.url}/", seconds=20, limit=100, ours=True).body

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(ask, range(80))) == {b"over TLS"}


@pytest.fixture
def old(certified) -> ssl.SSLContext:
    """Return a server's side that offers nothing newer than TLS 1.1."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(certified.file, certified.file.replace("certificate.pem", "key.pem"))
    made.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        made.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        made.maximum_version = ssl.TLSVersion.TLSv1_1
    return made
