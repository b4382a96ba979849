"""Pictures that a request starts from: taken with it, checked, stored once, shown by hash, and never as a result."""

import base64
import io
import json
import os
import random
import time

import pytest
from PIL import Image
from sqlalchemy import text

from app.services import references, upload
from tests.api.conftest import BASE, ORDER, fields
from tests.fakes.house import files

PUBLIC = "https://example.com/cat.png"
ROWS = "SELECT role, sha256 FROM request_assets WHERE request_id = :id ORDER BY role"


def data_url(content, mime="image/png"):
    return f"data:{mime};base64,{base64.b64encode(content).decode()}"


def order(*images, **more):
    return {**ORDER, **more, "referenceImages": list(images)}


def inline(content, **more):
    return {"dataUrl": data_url(content, **more)}


@pytest.fixture
def ask(call, alice):
    """Return a function that submits pictures for alice and gives the answer."""
    return lambda *images, **more: call(alice, "POST", "submit", json=order(*images), **more)


@pytest.fixture
def submitted(ask, call, alice, board):
    """Return a function that submits pictures; it gives the id, what the status shows, and the rows by role."""

    def act(*images):
        answer = ask(*images)
        assert answer.status_code == 200, answer.text
        request = answer.json["requestId"]
        shown = call(alice, "GET", f"status/{request}").json["metadata"]["referenceImages"]
        return request, shown, rows(board, request)

    return act


@pytest.fixture
def sent(rt):
    return lambda who, content=None: upload.receive(rt, who, content or files.png())


@pytest.fixture
def refused(ask, board, rt):
    """Return a function that sees a submit refused, with nothing left of it; it gives the faults."""

    def act(*images, **more):
        answer = ask(*images, **more)
        names = fields(answer)
        assert board.scalar("SELECT count(*) FROM generation_requests") == 0
        assert board.scalar("SELECT count(*) FROM assets") == 0
        assert list(rt.store.hashes()) == list(rt.store.draft().parent.iterdir()) == []
        return {name: fault["message"] for name, fault in zip(names, answer.json["errors"], strict=True)}

    return act


def rows(board, request):
    with board.db.once() as tx:
        return dict(tuple(row) for row in tx.execute(text(ROWS), {"id": request}))


class TestTaken:
    def test_each_of_three_ways_and_the_order_is_kept(self, submitted, sent, alice):
        kept = sent(alice, files.jpeg())
        _, shown, stored = submitted(
            inline(files.png()), {"url": PUBLIC}, {"upload": kept.id}, inline(files.webp())
        )
        assert shown[1:3] == [{"url": PUBLIC}, {"sha256": kept.sha256}]
        assert stored == {f"reference-{n}": shown[n]["sha256"] for n in (0, 2, 3)}

    def test_a_row_never_holds_base64(self, submitted, everything):
        content = files.png(300, 200)
        submitted(inline(content))
        assert base64.b64encode(content).decode()[20:60] not in json.dumps(everything())

    def test_no_answer_holds_their_contents(self, submitted, call, alice):
        content = files.png(300, 200)
        request, _, _ = submitted(inline(content))
        for path in (
            f"status/{request}",
            "requests",
            f"requests/{request}/events",
            f"requests/{request}/explain",
        ):
            assert "base64" not in call(alice, "GET", path).text

    def test_what_is_stored_is_small_and_ours(self, submitted, rt):
        _, [shown], _ = submitted(inline(files.png(4096, 2048)))
        with rt.store.open(shown["sha256"]) as file:
            assert file.read() != files.png(4096, 2048)

    def test_the_same_picture_is_stored_once(self, submitted, board, sent, alice):
        kept = sent(alice)
        first, _, _ = submitted(inline(files.png()), inline(files.png()))
        second, _, _ = submitted(inline(files.png()), {"upload": kept.id})
        assert board.scalar("SELECT count(*) FROM assets") == 1
        assert [len(rows(board, request)) for request in (first, second)] == [2, 2]

    def test_no_pictures_are_no_pictures(self, call, alice, board):
        answer = call(alice, "POST", "submit", json=order())
        assert board.row(answer.json["requestId"]).metadata == {}

    @pytest.mark.parametrize("form", ["png", "jpeg", "webp", "gif", "avif"])
    def test_five_formats_are_taken_whatever_they_are_called(self, submitted, form):
        for mime in (f"image/{form}", "image/jpeg", "application/octet-stream"):
            submitted(inline(files.picture(form), mime=mime))

    @pytest.mark.parametrize(
        "head", ["data:;base64,", "DATA:image/png;BASE64,", "data:image/png;name=a.png;base64,"]
    )
    def test_a_data_url_may_be_written_in_several_ways(self, submitted, head):
        submitted({"dataUrl": head + base64.b64encode(files.png()).decode()})

    def test_ten_megabytes_are_taken(self, submitted):
        noise = _png_of(10 << 20)
        assert (9 << 20) < len(noise) <= upload.LARGEST
        submitted(inline(noise))

    def test_a_body_of_many_megabytes_is_taken(self, submitted):
        noise = _png_of(4 << 20)
        submitted(inline(noise), inline(noise), inline(noise), inline(noise))

    def test_an_upload_that_is_used_is_kept_longer(self, submitted, sent, board, alice):
        kept = sent(alice)
        board.do("UPDATE uploads SET used_at = used_at - interval '23 hours'")
        submitted({"upload": kept.id})
        assert board.scalar("SELECT used_at > clock_timestamp() - interval '1 minute' FROM uploads")

    def test_a_repeated_key_gets_its_first_answer(self, ask, board):
        first, second = (
            ask(inline(files.png()), headers={"Idempotency-Key": "the-same-key"}) for _ in range(2)
        )
        assert first.json == second.json
        assert second.headers["Idempotency-Replayed"] == "true"
        assert board.scalar("SELECT count(*) FROM request_assets") == 1

    def test_another_picture_under_the_same_key_is_422(self, ask):
        ask(inline(files.png()), headers={"Idempotency-Key": "the-same-key"})
        answer = ask(inline(files.jpeg()), headers={"Idempotency-Key": "the-same-key"})
        assert answer.status_code == 422

    def test_they_are_part_of_what_makes_requests_the_same(self, submitted, board):
        pictures = (files.png(), files.png(), files.jpeg())
        ids = [submitted(inline(content))[0] for content in pictures]
        keys = [board.row(request).work_key for request in ids]
        assert keys[0] == keys[1] != keys[2]


class TestDryRun:
    def test_it_writes_nothing(self, call, alice, everything, rt, sent):
        kept = sent(alice)
        before, stored = everything(), list(rt.store.hashes())
        body = order(inline(files.jpeg()), {"upload": kept.id}, {"url": PUBLIC})
        answer = call(alice, "POST", "submit?dryRun=true", json=body)
        assert answer.json["dryRun"] is True
        assert everything() == before
        assert list(rt.store.hashes()) == stored
        assert list(rt.store.draft().parent.iterdir()) == []

    def test_it_refuses_what_a_submit_refuses(self, call, alice):
        answer = call(
            alice, "POST", "submit?dryRun=true", json=order(inline(files.svg()), {"upload": "vgu_1"})
        )
        assert fields(answer) == ["referenceImages.1.upload"]
        answer = call(alice, "POST", "submit?dryRun=true", json=order(inline(files.svg())))
        assert fields(answer) == ["referenceImages.0.dataUrl"]


SHAPES = {
    "no list": ("a.png", "referenceImages"),
    "null": (None, "referenceImages"),
    "five": ([{"url": PUBLIC}] * 5, "referenceImages"),
    "a million": ([{}] * 1_000_000, "referenceImages"),
    "a string": (["a.png"], "referenceImages.0"),
    "nothing": ([{}], "referenceImages.0"),
    "two ways": ([{"url": PUBLIC, "upload": "vgu_1"}], "referenceImages.0"),
    "another way": ([{"path": "/etc/passwd"}], "referenceImages.0.path"),
    "a null address": ([{"url": None}], "referenceImages.0.url"),
    "a long address": ([{"url": "https://example.com/" + "a" * 2048}], "referenceImages.0.url"),
    "a number": ([{"url": 7}], "referenceImages.0.url"),
    "an empty id": ([{"upload": ""}], "referenceImages.0.upload"),
    "a NUL": ([{"upload": "a\x00"}], "referenceImages.0.upload"),
    "not a data URL": ([{"dataUrl": PUBLIC}], "referenceImages.0.dataUrl"),
    "not base64, says so": ([{"dataUrl": "data:image/png,abc"}], "referenceImages.0.dataUrl"),
    "not base64": ([{"dataUrl": "data:image/png;base64,*#!?"}], "referenceImages.0.dataUrl"),
    "cut base64": ([{"dataUrl": "data:image/png;base64,abcde"}], "referenceImages.0.dataUrl"),
    "base64 and more": ([{"dataUrl": "data:image/png;base64,QUJD=QUJD"}], "referenceImages.0.dataUrl"),
    "not ASCII": ([{"dataUrl": "data:image/png;base64,ÄÖÜß"}], "referenceImages.0.dataUrl"),
    "bytes as a list": ([{"dataUrl": [1, 2]}], "referenceImages.0.dataUrl"),
    "eleven megabytes": ([{"dataUrl": data_url(bytes(11 << 20))}], "referenceImages.0.dataUrl"),
    "a few bytes over ten": ([{"dataUrl": data_url(bytes((10 << 20) + 4))}], "referenceImages.0.dataUrl"),
}
PICTURES = {
    "svg with a script": files.svg(script=True),
    "html": files.html(),
    "zip": files.archive(),
    "program": files.program(),
    "nothing": b"",
    "cut off": files.png(200, 200)[:150],
    "without its end": files.truncated_png(),
    "a text that unpacks": files.fat_png(),
    "a bomb": files.bomb(),
    "noise": b"\xff\xd8\xff" + random.Random(1).randbytes(1000),
}
ADDRESSES = {
    "loopback": "http://127.0.0.1/a.png",
    "loopback, short": "http://127.1/a.png",
    "loopback, a number": "http://2130706433/a.png",
    "loopback, hexadecimal": "http://0x7f000001/",
    "loopback, octal": "http://0177.0.0.1/",
    "loopback, six": "http://[::1]/",
    "loopback, mapped": "http://[::ffff:127.0.0.1]/",
    "cloud metadata": "http://169.254.169.254/latest/meta-data/",
    "private": "https://10.0.0.7/a.png",
    "private, 192": "https://192.168.1.1/a.png",
    "nowhere": "http://0.0.0.0/",
    "a port of something else": "http://8.8.8.8:5432/",
    "with a user": "https://alice@example.com/a.png",
    "with a password": "https://alice:secret@example.com/a.png",
    "two readings": "http://127.0.0.1\\@example.com/",
    "a file": "file:///etc/passwd",
    "ftp": "ftp://example.com/a.png",
    "gopher": "gopher://127.0.0.1:6379/_FLUSHALL",
    "data": data_url(files.png()),
    "no host": "https:///a.png",
    "words": "a cat",
    "a line break": "https://example.com/\r\nX: y",
}


class TestRefused:
    @pytest.mark.parametrize(("images", "field"), SHAPES.values(), ids=SHAPES)
    def test_a_wrong_shape_is_named(self, call, alice, board, images, field):
        began = time.process_time()
        answer = call(alice, "POST", "submit", json={**ORDER, "referenceImages": images})
        assert fields(answer) == [field]
        assert board.scalar("SELECT count(*) FROM generation_requests") == 0
        assert time.process_time() - began < 3

    def test_over_ten_megabytes_says_so(self, refused):
        [message] = refused(inline(bytes(11 << 20))).values()
        assert message == "The picture is over 10 MB."

    @pytest.mark.parametrize("content", PICTURES.values(), ids=PICTURES)
    def test_what_is_no_good_picture_is_named(self, refused, content):
        found = refused(inline(files.png()), inline(content))
        assert list(found) == ["referenceImages.1.dataUrl"]

    def test_what_is_wrong_is_said(self, refused):
        found = refused(
            inline(files.svg()), inline(files.bomb()), inline(files.png()[:100]), inline(files.html())
        )
        assert list(found) == [f"referenceImages.{n}.dataUrl" for n in range(4)]
        assert found["referenceImages.0.dataUrl"] == "This is not a PNG, JPEG, WebP, GIF or AVIF picture."
        assert found["referenceImages.1.dataUrl"] == "The picture has more than 40 megapixels."

    @pytest.mark.parametrize("url", ADDRESSES.values(), ids=ADDRESSES)
    def test_an_address_that_may_not_be_fetched_is_refused_before_anybody_is_asked(self, refused, url):
        assert list(refused({"url": PUBLIC}, {"url": url})) == ["referenceImages.1.url"]

    def test_a_private_address_that_the_operator_allows_is_taken(self, build, as_, alice):
        client = build(fetch_allow=("127.0.0.1:9000",))
        for port, status in ((9000, 200), (9001, 400)):
            body = order({"url": f"http://127.0.0.1:{port}/a.png"})
            assert client.post(f"{BASE}/submit", json=body, headers=as_(alice)).status_code == status

    def test_nobody_is_asked_at_submit(self, submitted, monkeypatch):
        monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: pytest.fail("a name was looked up"))
        monkeypatch.setattr(
            "app.egress.sender.Egress.send", lambda *_, **__: pytest.fail("somebody was asked")
        )
        submitted({"url": "https://no-such-host.invalid/a.png"})

    def test_an_upload_that_is_not_there_is_named(self, refused):
        assert list(refused({"upload": "vgu_1_nothing"})) == ["referenceImages.0.upload"]

    def test_a_foreign_upload_is_as_one_that_is_not_there(self, ask, sent, bob):
        theirs = ask({"upload": sent(bob).id})
        missing = ask({"upload": "vgu_1_nothing"})
        assert fields(theirs) == ["referenceImages.0.upload"]
        assert theirs.json["errors"] == missing.json["errors"]

    def test_every_fault_is_named_at_once(self, refused):
        found = refused(
            {"upload": "vgu_1"}, {"url": "http://10.0.0.1/"}, {"upload": "vgu_2"}, {"url": PUBLIC}
        )
        assert list(found) == [
            "referenceImages.0.upload",
            "referenceImages.1.url",
            "referenceImages.2.upload",
        ]

    def test_pictures_are_not_read_for_an_order_that_is_refused_anyway(self, call, alice, monkeypatch):
        monkeypatch.setattr(upload, "read", lambda *_: pytest.fail("a picture was read"))
        body = order(inline(files.png()), metadata={"provider": "nobody"})
        assert fields(call(alice, "POST", "submit", json=body)) == ["metadata.provider"]

    def test_a_child_that_dies_over_it_is_a_fault_of_that_field_alone(self, ask, rt, monkeypatch, submitted):
        run, seen = rt.finisher._guard.run, []

        def once(function, *args, **limit):
            seen.append(function)
            return run(os.abort) if len(seen) == 2 else run(function, *args, **limit)

        with monkeypatch.context() as patch:
            patch.setattr(rt.finisher._guard, "run", once)
            answer = ask(inline(files.png()), inline(files.jpeg()), inline(files.webp()))
        assert fields(answer) == ["referenceImages.1.dataUrl"]
        submitted(inline(files.jpeg()))

    def test_one_that_takes_too_long_is_a_fault_of_that_field(self, refused, rt, monkeypatch):
        run = rt.finisher._guard.run
        monkeypatch.setattr("app.storage.finish._REFERENCE_SECONDS", 1)
        monkeypatch.setattr(rt.finisher._guard, "run", lambda *_, **limit: run(time.sleep, 30, **limit))
        [message] = refused(inline(files.png())).values()
        assert "too long" in message

    def test_the_metadata_is_no_way_around(self, call, alice):
        for images in ([{"sha256": "a" * 64}], []):
            body = {**ORDER, "metadata": {"referenceImages": images}}
            assert fields(call(alice, "POST", "submit", json=body)) == ["metadata.referenceImages"]

    def test_more_than_any_route_takes_is_413(self, call, alice):
        answer = call(alice, "POST", "submit", json=order({"dataUrl": "x" * (25 << 20)}))
        assert (answer.status_code, answer.json["code"]) == (413, "body_too_large")


class TestBatch:
    def items(self, *pictures):
        return {"requests": [order(*images, clientId=str(n)) for n, images in enumerate(pictures)]}

    def test_each_item_has_its_own(self, call, alice, board, sent):
        kept = sent(alice, files.jpeg())
        body = self.items([inline(files.png())], [{"upload": kept.id}, {"url": PUBLIC}], [])
        ids = [one["requestId"] for one in call(alice, "POST", "batch", json=body).json["requestIds"]]
        found = [board.row(request).metadata.get("referenceImages") for request in ids]
        assert found[1:] == [[{"sha256": kept.sha256}, {"url": PUBLIC}], None]
        assert [len(rows(board, request)) for request in ids] == [1, 1, 0]

    def test_lines_too(self, call, alice, board):
        lines = "\n".join(map(json.dumps, self.items([inline(files.png())], [])["requests"]))
        answer = call(alice, "POST", "batch", data=lines, content_type="application/x-ndjson")
        assert answer.json["total"] == 2
        assert board.scalar("SELECT count(*) FROM request_assets") == 1

    def test_a_bad_one_is_named_by_its_item_and_nothing_is_written(self, call, alice, board):
        body = self.items([inline(files.png())], [{"url": PUBLIC}, inline(files.svg())])
        assert fields(call(alice, "POST", "batch", json=body)) == ["requests.1.referenceImages.1.dataUrl"]
        body = self.items([{"upload": "vgu_1"}], [{"url": "http://10.0.0.1/"}])
        assert fields(call(alice, "POST", "batch", json=body)) == [
            "requests.0.referenceImages.0.upload",
            "requests.1.referenceImages.0.url",
        ]
        body = self.items([], [{"dataUrl": "nothing"}])
        assert fields(call(alice, "POST", "batch", json=body)) == ["requests.1.referenceImages.0.dataUrl"]
        assert board.scalar("SELECT count(*) FROM generation_requests") == 0

    def test_one_picture_of_many_items_is_read_once(self, call, alice, rt, monkeypatch):
        read, seen = rt.finisher.reference, []
        monkeypatch.setattr(rt.finisher, "reference", lambda content: seen.append(1) or read(content))
        body = self.items(*[[inline(files.png())]] * 20)
        assert call(alice, "POST", "batch", json=body).json["total"] == 20
        assert len(seen) == 1

    def test_too_many_different_ones_have_to_be_uploaded(self, call, alice, monkeypatch):
        monkeypatch.setattr(references, "MOST_INLINE", 2)
        body = self.items(*[[inline(files.png(9 + n, 9))] for n in range(3)])
        assert fields(call(alice, "POST", "batch", json=body)) == ["requests.2.referenceImages.0.dataUrl"]

    def test_items_that_differ_in_their_pictures_alone_are_not_the_same(self, call, alice):
        body = self.items([inline(files.png())], [inline(files.jpeg())], [inline(files.png())])
        body["batchOptions"] = {"onDuplicate": "skip"}
        assert call(alice, "POST", "batch", json=body).json["total"] == 2

    def test_a_dry_run_writes_nothing(self, call, alice, everything):
        before = everything()
        body = self.items([inline(files.png())])
        assert call(alice, "POST", "batch?dryRun=true", json=body).json["total"] == 1
        assert everything() == before

    def test_its_body_has_the_limit_that_it_had(self, call, alice):
        answer = call(alice, "POST", "batch", json=self.items([{"dataUrl": "x" * (8 << 20)}]))
        assert answer.status_code == 413


class TestAfterwards:
    def test_they_are_not_served_as_results(self, submitted, call, alice, studio):
        request, _, _ = submitted(inline(files.png()))
        assert call(alice, "GET", f"requests/{request}/files/reference-0").status_code == 404
        studio.complete(request)
        shown = call(alice, "GET", f"status/{request}").json["result"]
        assert call(alice, "GET", f"requests/{request}/files/reference-0").status_code == 404
        assert "reference" not in json.dumps(shown)
        assert call(alice, "GET", f"requests/{request}/files/image").status_code == 200

    def test_a_retry_keeps_them(self, submitted, call, alice, board, studio):
        request, shown, stored = submitted(inline(files.png()), {"url": PUBLIC})
        studio.fail(request)
        again = call(alice, "POST", f"requests/{request}/retry").json["requestId"]
        assert call(alice, "GET", f"status/{again}").json["metadata"]["referenceImages"] == shown
        assert rows(board, again) == stored != {}

    def test_a_retry_keeps_what_was_fetched_for_the_first_try(
        self, submitted, call, alice, board, studio, sent
    ):
        request, _, _ = submitted({"url": PUBLIC})
        studio.fail(request)
        fetched = sent(alice).sha256
        board.do("INSERT INTO request_assets VALUES (:id, 'reference-0', :sha)", id=request, sha=fetched)
        again = call(alice, "POST", f"requests/{request}/retry").json["requestId"]
        assert rows(board, again) == {"reference-0": fetched}

    def test_a_retry_does_not_keep_results(self, submitted, call, alice, board, studio):
        request, _, _ = submitted(inline(files.png()))
        claim, attempt = studio.begin(request)
        studio.settle(claim, attempt)
        board.do("ALTER TABLE generation_requests DISABLE TRIGGER refuse_second_ending")
        board.do("UPDATE generation_requests SET status = 'failed'")
        board.do("ALTER TABLE generation_requests ENABLE TRIGGER refuse_second_ending")
        again = call(alice, "POST", f"requests/{request}/retry").json["requestId"]
        assert list(rows(board, again)) == ["reference-0"]

    def test_a_batch_that_is_tried_again_keeps_them(self, call, alice, board, studio):
        body = {"requests": [order(inline(files.png())), order(inline(files.jpeg()))]}
        first = call(alice, "POST", "batch", json=body).json
        for one in first["requestIds"]:
            studio.fail(one["requestId"])
        again = call(alice, "POST", f"batch/{first['batchId']}/retry-failed").json
        for old, new in zip(first["requestIds"], again["requestIds"], strict=True):
            assert rows(board, old["requestId"]) == rows(board, new["requestId"]) != {}

    def test_a_retry_whose_picture_is_gone_is_refused(self, submitted, call, alice, rt, studio, board):
        request, [_, shown], _ = submitted({"url": PUBLIC}, inline(files.png()))
        studio.fail(request)
        rt.store.remove(shown["sha256"])
        answer = call(alice, "POST", f"requests/{request}/retry")
        assert (answer.status_code, answer.json["code"]) == (409, "illegal_move")
        assert answer.json["detail"] == f"Reference image 2 of {request} is no longer stored."
        assert board.scalar("SELECT count(*) FROM generation_requests") == 1

    def test_so_is_a_batch_of_which_one_is_gone(self, call, alice, rt, studio, board):
        body = {"requests": [order(), order(inline(files.png()), prompt="A lighthouse at noon")]}
        first = call(alice, "POST", "batch", json=body).json
        for one in first["requestIds"]:
            studio.fail(one["requestId"])
        for sha256 in list(rt.store.hashes()):
            rt.store.remove(sha256)
        assert call(alice, "POST", f"batch/{first['batchId']}/retry-failed").status_code == 409
        assert board.scalar("SELECT count(*) FROM generation_requests") == 2


def _png_of(size):
    """A PNG of nearly `size` bytes, of noise."""
    side = int((size / 3 * 0.97) ** 0.5)
    made = io.BytesIO()
    noise = random.Random(3).randbytes(side * side * 3)
    Image.frombytes("RGB", (side, side), noise).save(made, "PNG", compress_level=0)
    return made.getvalue()
