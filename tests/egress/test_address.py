"""An address has one reading, whoever reads it; what has two is refused before anything is asked."""

from urllib.parse import urlsplit

import pytest
import requests
from hypothesis import example, given, settings
from hypothesis import strategies as st
from urllib3.util import parse_url

from app.egress.address import Origin, checked, origin
from app.egress.errors import Refused
from tests.egress.lines import answer, says

TWO_READINGS = [
    r"http://127.0.0.1\@example.com/",
    r"http://example.com\@127.0.0.1/",
    r"http:\\127.0.0.1\x",
    "http://example.com@127.0.0.1/",
    "http://user:pass@example.com/",
    "http://user@example.com/",
    "http://example.com:80@127.0.0.1/",
    "http://exam\tple.com/",
    "http://example.com\n/",
    "http://example.com/a\r\nHost: evil.example",
    "\x00http://example.com/",
    " http://example.com/",
    "http://example.com /",
    "ht\ntp://example.com/",
    "http:///example.com/",
    "http:/example.com/",
    "http:example.com",
    "//example.com/",
    "example.com",
    "",
]
OTHER_SCHEMES = [
    "file:///etc/passwd",
    "ftp://example.com/",
    "gopher://example.com/",
    "data:image/png;base64,AAAA",
    "javascript:alert(1)",
    "unix:///var/run/docker.sock",
    "httpss://example.com/",
    "http+unix://%2Fvar%2Frun/",
]
STRANGE_HOSTS = [
    "http://①②⑦.⓪.⓪.①/",
    "http://ｅxample.com/",
    "http://exampl\u212a.com/",
    "http://\u017fxample.com/",
    "http://münchen.example/",
    "http://127。0。0。1/",
    "http://exam%70le.com/",
    "http://127.0.0.1%2f@example.com/",
    "http://example.com%00.evil.example/",
    "http://[fe80::1%25eth0]/",
    "http://[fe80::1%eth0]/",
    "http://[::1",
    "http://[::1]x/",
    "http://[1.2.3.4]/",
    "http://[v1.a]/",
    "http://.example.com/",
    "http://-/",
    "http://:80/",
    "http://",
    "http://?x",
]
STRANGE_PORTS = [
    "http://example.com:/",
    "http://example.com:0/",
    "http://example.com:65536/",
    "http://example.com:99999/",
    "http://example.com:100000/",
    "http://example.com:-80/",
    "http://example.com:+80/",
    "http://example.com:８０/",
    "http://example.com:80:80/",
    "http://example.com:http/",
]


@pytest.mark.parametrize("url", [*TWO_READINGS, *OTHER_SCHEMES, *STRANGE_HOSTS, *STRANGE_PORTS])
def test_what_is_not_plain_is_refused(egress, url):
    with pytest.raises(Refused) as refusal:
        checked(url)
    assert refusal.value.sent is False
    with pytest.raises(Refused):
        egress.fetch(url, seconds=1, limit=1)
    with pytest.raises(Refused):
        egress.send("POST", url, seconds=1, limit=1, ours=True)


@pytest.mark.parametrize(
    "url", [None, 5, b"http://example.com/", {"url": "x"}, "http://e.example/" + "a" * 20_000]
)
def test_what_is_no_address_at_all_is_refused(url):
    with pytest.raises(Refused):
        checked(url)


@pytest.mark.parametrize(
    ("url", "there"),
    [
        ("http://example.com", ("http", "example.com", 80)),
        ("HTTPS://Example.COM/a?b#c", ("https", "example.com", 443)),
        ("https://example.com:8443/", ("https", "example.com", 8443)),
        ("http://example.com./", ("http", "example.com.", 80)),
        ("http://[::1]:8188/view", ("http", "::1", 8188)),
        ("http://[::ffff:127.0.0.1]/", ("http", "::ffff:127.0.0.1", 80)),
        ("http://2130706433/", ("http", "2130706433", 80)),
        ("http://my_gpu:7860/", ("http", "my_gpu", 7860)),
        ("http://example.com?x=http://other.example/", ("http", "example.com", 80)),
        ("https://example.com/a b/ü/@x:y", ("https", "example.com", 443)),
        ("https://xn--mnchen-3ya.example/", ("https", "xn--mnchen-3ya.example", 443)),
    ],
)
def test_a_plain_one_is_read(url, there):
    assert origin(url) == Origin(*there)
    assert checked(url) == url


PIECES = st.sampled_from(
    [
        *"/\\@:#?%.[]- \t\n\x00",
        "http://",
        "https://",
        "127.0.0.1",
        "example.com",
        "80",
        "a",
        "ü",
        "\u212a",
        "\u3002",
        "//",
    ]
)


@settings(deadline=None)
@given(
    st.one_of(
        st.lists(PIECES, max_size=9).map("".join),
        st.lists(PIECES, max_size=6).map(lambda found: "http://" + "".join(found)),
        st.text().map("http://{}".format),
    )
)
@example("http://127.0.0.1\\@example.com/")
def test_all_parsers_agree_about_what_is_taken(url):
    try:
        there = origin(url)
    except Refused:
        return
    default = {"http": 80, "https": 443}[there.scheme]
    split, urllib3 = urlsplit(url), parse_url(url)
    prepared = requests.Request("GET", url).prepare()
    again = urlsplit(prepared.url)
    assert (split.scheme, split.hostname, split.port or default) == there
    assert (again.scheme, again.hostname, again.port or default) == there
    assert (urllib3.scheme, urllib3.host.strip("[]"), urllib3.port or default) == there
    assert not any((split.username, split.password, urllib3.auth, again.username))


def test_a_request_cannot_be_written_into_an_address(local, serve):
    server = serve(says(answer()))
    local.fetch(f"{server.url}/a b/%0d%0aX: 1?q=ü", seconds=5, limit=100)
    line, *headers = server.seen[0].split(b"\r\n")
    assert line == b"GET /a%20b/%0D%0AX:%201?q=%C3%BC HTTP/1.1"
    assert not any(one.startswith(b"X:") for one in headers)
