"""A redirect is an address from outside like any other: checked again, and told nothing."""

import pytest

from app.egress.errors import Refused
from tests.egress.lines import Line, answer, redirect, says

KEYED = {"Authorization": "Bearer key of the tests", "x-goog-api-key": "key of the tests"}


def walk(*steps: bytes):
    """Answer each request by the next step, the last for ever."""
    asked = 0

    def act(line: Line) -> None:
        nonlocal asked
        line.read()
        asked += 1
        line.say(steps[min(asked, len(steps)) - 1])

    return act


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_three_hops_are_followed(local, serve, status):
    hops = [redirect(f"/{n}", status) for n in range(3)]
    server = serve(walk(*hops, answer(b"the file")))
    reply = local.fetch(f"{server.url}/a/b", seconds=5, limit=100)
    assert reply.body == b"the file"
    assert reply.url == f"{server.url}/2"
    assert [sent.split()[1] for sent in server.seen] == [b"/a/b", b"/0", b"/1", b"/2"]


def test_a_fourth_is_not(local, serve):
    server = serve(walk(*[redirect(f"/{n}") for n in range(4)], answer()))
    with pytest.raises(Refused):
        local.fetch(f"{server.url}/", seconds=5, limit=100)
    assert server.connections == 4


def test_nor_is_a_loop(local, serve):
    server = serve(says(redirect("/")))
    with pytest.raises(Refused):
        local.fetch(f"{server.url}/", seconds=5, limit=100)
    assert server.connections == 4


def test_another_origin_gets_nothing_of_ours(local, serve):
    other = serve(says(answer(b"the file", "Set-Cookie: a=b")))
    server = serve(says(answer(b"", f"Location: {other.url}/x", "Set-Cookie: id=1", status="302 Found")))
    reply = local.fetch(f"{server.url}/", seconds=5, limit=100, ours=True, headers=KEYED)
    assert reply.body == b"the file"
    assert b"key of the tests" in server.seen[0]
    told = other.seen[0].lower()
    assert not any(word in told for word in (b"key of the tests", b"authorization", b"cookie", b"referer"))


def test_nor_does_the_same_origin_when_it_redirects(egress, serve):
    server = serve(walk(redirect("/there"), answer(b"the file")))
    assert egress.fetch(f"{server.url}/", seconds=5, limit=100, ours=True, headers=KEYED).ok
    assert b"key of the tests" not in server.seen[1]


def test_the_operators_own_server_may_redirect_to_itself_and_nowhere_else_inside(egress, serve):
    inside = serve(says(answer(b"secrets")))
    itself = serve(walk(redirect("/there"), answer(b"the file")))
    assert egress.fetch(f"{itself.url}/", seconds=5, limit=100, ours=True).body == b"the file"
    astray = serve(walk(redirect(f"{inside.url}/")))
    with pytest.raises(Refused):
        egress.fetch(f"{astray.url}/", seconds=5, limit=100, ours=True)
    back = serve(walk(redirect(f"http://localhost:{itself.port}/")))
    with pytest.raises(Refused):
        egress.fetch(f"{back.url}/", seconds=5, limit=100, ours=True)
    assert inside.connections == 0


@pytest.mark.parametrize(
    "target",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://127.0.0.2:80/",
        "http://[::1]/",
        "http://[fd00:ec2::254]/",
        "http://2130706434/",
        "//10.0.0.1/",
        "file:///etc/passwd",
        "ftp://127.0.0.1/",
        "data:image/png;base64,AAAA",
        "gopher://127.0.0.1:6379/_FLUSHALL",
        "http://user:pass@127.0.0.1/",
        r"http://127.0.0.1\@files.example/",
        "http://[::1",
        "http://127.0.0.1:99999/",
        "javascript:alert(1)",
    ],
)
def test_a_redirect_to_where_nothing_may_be_fetched_is_refused(local, serve, target):
    server = serve(says(redirect(target)))
    with pytest.raises(Refused) as refusal:
        local.fetch(f"{server.url}/", seconds=5, limit=100)
    assert server.connections == 1
    assert target not in str(refusal.value)


def test_what_began_as_https_does_not_go_on_as_http(serve, certified, local_by):
    plain = serve(says(answer()))
    server = serve(says(redirect(f"{plain.url}/")), certified.server)
    with pytest.raises(Refused):
        local_by(certified).fetch(f"{server.url}/", seconds=5, limit=100)
    assert plain.connections == 0


@pytest.mark.parametrize("headers", [(), ("Location: ",)])
def test_a_redirect_to_nowhere_is_the_answer(local, serve, headers):
    server = serve(says(answer(b"moved", *headers, status="302 Found")))
    assert local.fetch(f"{server.url}/", seconds=5, limit=100).status == 302
    assert server.connections == 1


@pytest.mark.parametrize("status", [300, 304, 305, 306, 399])
def test_other_statuses_of_the_kind_are_not_redirects(local, serve, status):
    server = serve(says(redirect("/there", status)))
    assert local.fetch(f"{server.url}/", seconds=5, limit=100).status == status
    assert server.connections == 1
