"""No answer takes more memory than its limit allows, whatever it says of itself."""

import gzip
import os
import tracemalloc
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil
import pytest

from app.egress.errors import TooLarge, Unanswered
from app.egress.sender import Egress
from tests.egress.lines import OK, Line, answer, bomb, says, within

MEGABYTE = 1 << 20
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


def ask(egress: Egress, url: str, limit: int, seconds: float = 20) -> bytes:
    return egress.send("GET", url, seconds=seconds, limit=limit, ours=True).body


@contextmanager
def at_most(megabytes: float, what: str) -> Iterator[None]:
    """Fail where more memory is taken at any moment inside."""
    process = psutil.Process(os.getpid())
    resident = process.memory_info().rss
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1] / MEGABYTE
    finally:
        tracemalloc.stop()
    grown = (process.memory_info().rss - resident) / MEGABYTE
    print(f"{what}: peak {peak:.1f} MB, resident +{grown:.1f} MB")
    assert peak < megabytes


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "deflate"])
def test_a_gigabyte_of_gzip_in_a_megabyte_is_cut_at_the_limit(egress, serve, encoding):
    packed = bomb() if "gzip" in encoding else bomb()[10:]
    server = serve(says(answer(packed, f"Content-Encoding: {encoding}")))
    with at_most(16, f"bomb of {len(packed)} bytes, limit 8 MB"), within(5), pytest.raises(TooLarge) as over:
        ask(egress, f"{server.url}/", 8 * MEGABYTE)
    assert over.value.status == 200


def test_a_bomb_in_chunks_is_cut_too(egress, serve):
    server = serve(
        says(OK + b"Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n100000\r\n", bomb())
    )
    with at_most(16, "bomb in chunks, limit 8 MB"), within(5), pytest.raises(TooLarge):
        ask(egress, f"{server.url}/", 8 * MEGABYTE)


@pytest.mark.parametrize("target", ["/elsewhere", "http://[::1", "http://169.254.169.254/"])
def test_a_bomb_in_a_redirect_is_cut_too(egress, serve, target):
    server = serve(says(answer(bomb(), "Content-Encoding: gzip", f"Location: {target}", status="302 Found")))
    with at_most(16, "bomb in a redirect, limit 8 MB"), within(5), pytest.raises(TooLarge):
        ask(egress, f"{server.url}/", 8 * MEGABYTE)
    assert server.connections == 1


def test_a_bomb_in_a_bomb_is_not_opened(egress, serve):
    server = serve(says(answer(gzip.compress(bomb(64)), "Content-Encoding: gzip, gzip")))
    with at_most(4, "bomb in a bomb"), pytest.raises(Unanswered):
        ask(egress, f"{server.url}/", 8 * MEGABYTE)


def endless(line: Line) -> None:
    block = b"x" * MEGABYTE
    while True:
        line.say(block)


@pytest.mark.parametrize(
    ("began", "error"),
    [
        (OK + b"\r\n", TooLarge),
        (OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n", TooLarge),
        (CHUNKED + b"ffffffffffff\r\n", TooLarge),
        (CHUNKED + b"-1\r\n", Unanswered),
        (CHUNKED + b"-5\r\n", Unanswered),
        (CHUNKED + b"5;name=", Unanswered),
        (CHUNKED + b"0\r\nX-Trailer: ", Unanswered),
        (OK + b"X-Long: ", Unanswered),
        (b"", Unanswered),
        (b"HTTP/1.1 200 ", Unanswered),
    ],
    ids=[
        "no length", "length and chunks", "a chunk of terabytes", "a chunk of -1", "a chunk of -5",
        "a chunk's extension", "a trailer", "a header", "anything", "a reason",
    ],
)  # fmt: skip
def test_a_stream_without_end_is_cut_at_the_limit(egress, serve, began, error):
    def act(line: Line) -> None:
        line.read()
        line.say(began)
        endless(line)

    with at_most(6, f"{began[-12:]!r} without end, limit 1 MB"), within(5), pytest.raises(error) as over:
        ask(egress, f"{serve(act).url}/", MEGABYTE)
    assert over.value.sent


@pytest.mark.parametrize(
    "more", [b"X-More: 1\r\n", b"Set-Cookie: a=b; Expires=Thu, 01 Jan 1970 00:00:00 GMT\r\n"]
)
def test_a_hundred_thousand_headers(egress, serve, more):
    server = serve(says(OK, more * 100_000, b"\r\n"))
    with at_most(4, "100,000 headers"), within(5), pytest.raises(Unanswered):
        ask(egress, f"{server.url}/", MEGABYTE)


def test_a_hundred_headers_of_60_kilobytes(egress, serve):
    server = serve(says(OK, (b"Set-Cookie: a=" + b"b" * 60_000 + b"\r\n") * 99, b"\r\n"))
    with at_most(4, "6 MB of headers"), within(5), pytest.raises(Unanswered):
        ask(egress, f"{server.url}/", MEGABYTE)


def test_a_hundred_thousand_trailers(egress, serve):
    server = serve(says(CHUNKED, b"2\r\nhi\r\n0\r\n", b"X-More: 1\r\n" * 1_000_000, b"\r\n"))
    with at_most(4, "11 MB of trailers"), within(10), pytest.raises(TooLarge):
        ask(egress, f"{server.url}/", MEGABYTE)


def test_what_says_that_it_is_too_large_is_not_read(egress, serve):
    def act(line: Line) -> None:
        line.read()
        line.say(OK + b"Content-Length: 1048577\r\n\r\n")
        line.wait()

    with within(1), pytest.raises(TooLarge):
        ask(egress, f"{serve(act).url}/", MEGABYTE)


@pytest.mark.parametrize("chunked", [False, True])
def test_the_limit_itself_is_within_it(egress, serve, chunked):
    body = os.urandom(MEGABYTE)
    whole = CHUNKED + b"100000\r\n" + body + b"\r\n0\r\n\r\n" if chunked else answer(body)
    server = serve(says(whole))
    assert ask(egress, f"{server.url}/", MEGABYTE) == body
    with pytest.raises(TooLarge):
        ask(egress, f"{server.url}/", MEGABYTE - 1)


@pytest.mark.parametrize(
    "said",
    [
        OK + b"Content-Length: 10\r\n\r\nabc",
        OK + b"Content-Length: 3\r\nContent-Length: 5\r\n\r\nabcde",
        CHUNKED + b"5\r\nabcde\r\n",
        CHUNKED + b"5\r\nabc",
        CHUNKED + b"zz\r\nabc\r\n0\r\n\r\n",
        CHUNKED + b"5\r\nabcdefgh\r\n0\r\n\r\n",
        OK + b"Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nabcde",
    ],
    ids=["short", "two lengths", "no last chunk", "half a chunk", "no number", "a longer chunk", "no gzip"],
)
def test_an_answer_that_is_not_what_it_says_is_no_answer(egress, serve, said):
    server = serve(says(said))
    with pytest.raises(Unanswered) as lost:
        ask(egress, f"{server.url}/", MEGABYTE)
    assert lost.value.sent


@pytest.mark.parametrize("length", [b"-5", b"abc", b"5,5", b"+5", b"9" * 5000, b""])
def test_no_length_crashes_or_gives_more_than_was_sent(egress, serve, length):
    server = serve(says(OK + b"Content-Length: " + length + b"\r\n\r\nabcde"))
    found = b""
    with suppress(Unanswered):
        found = ask(egress, f"{server.url}/", MEGABYTE)
    assert found in {b"abcde", b""}


def test_what_is_behind_the_length_is_not_read(egress, serve):
    server = serve(says(answer(b"abc") + b"HTTP/1.1 200 OK\r\n\r\nsmuggled"))
    assert ask(egress, f"{server.url}/", MEGABYTE) == b"abc"


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress])
def test_what_is_packed_is_unpacked(egress, serve, pack):
    body = b"a picture of a heron " * 10_000
    server = serve(
        says(answer(pack(body), f"Content-Encoding: {'gzip' if pack is gzip.compress else 'deflate'}"))
    )
    assert ask(egress, f"{server.url}/", MEGABYTE) == body


def test_a_large_file_is_held_once(egress, serve):
    body = os.urandom(32 * MEGABYTE)
    server = serve(says(answer(body)))
    with at_most(48, "a file of 32 MB"):
        assert len(ask(egress, f"{server.url}/", 64 * MEGABYTE)) == len(body)
