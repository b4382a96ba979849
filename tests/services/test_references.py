"""Pictures that a request starts from, as the worker gets them: fetched once, made ours, kept as long as they are needed."""

import io
import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace

import pytest
from PIL import Image
from sqlalchemy import text

from app.domain.errors import Invalid
from app.domain.failure import FailureKind
from app.domain.reference import Inline, Linked, Uploaded
from app.domain.vocabulary import Kind, Role
from app.egress.sender import Egress
from app.providers.base import ProviderError
from app.queue import assets, enqueue, retain
from app.services import references, sweep, upload
from app.services.drain import Drain
from app.services.submit import Order
from app.services.sweep import Sweeper
from tests.conftest import until
from tests.egress.lines import Act, Line, Server, answer, bomb, redirect, says, serving
from tests.factories import new_request
from tests.fakes.house import files
from tests.fakes.scripted import done
from tests.queue.scales import Scales

PICTURE = answer(files.png())


@pytest.fixture
def serve() -> Iterator[Callable[[Act], Server]]:
    with ExitStack() as stack:
        yield lambda act: stack.enter_context(serving(act))


@pytest.fixture
def open_rt(rt):
    """Tools whose way out leads to this machine, too."""
    rt.__dict__["egress"] = Egress(("127.0.0.1",))
    return rt


@pytest.fixture
def claim(board, alice):
    """Return a function that claims a request of alice's with these pictures."""

    def act(*images, **more):
        board.put_one(alice, metadata={"referenceImages": list(images)}, **more)
        return board.claim_one()

    return act


@pytest.fixture
def load_from(open_rt, claim):
    """Return a function that loads the one picture of a request, from an address."""
    return lambda url: references.load(open_rt, claim({"url": url}))


@pytest.fixture
def why(rt, claim, board):
    """Return a function that sees an address fail a request for good, with nothing kept; it gives the sentence."""

    def act(url, tools=None):
        with pytest.raises(ProviderError) as caught:
            references.load(tools or rt, claim({"url": url}))
        failure = caught.value.failure
        assert failure.kind is FailureKind.BAD_REQUEST
        assert not failure.kind.retryable
        assert board.scalar("SELECT count(*) FROM assets") == 0
        assert list(rt.store.hashes()) == list(rt.store.draft().parent.iterdir()) == []
        return failure.message

    return act


def kept(board):
    with board.db.once() as tx:
        return {row.role: row.sha256 for row in tx.execute(text("SELECT role, sha256 FROM request_assets"))}


@contextmanager
def draining(rt):
    stop = threading.Event()
    drain = threading.Thread(target=Drain(rt, slots=2, pool_worker="pool", stop=stop).run)
    drain.start()
    try:
        yield
    finally:
        stop.set()
        drain.join(20)
        assert not drain.is_alive()


class TestStored:
    def test_without_pictures_nobody_is_asked(self, rt, board, alice):
        board.put_one(alice)
        claimed = board.claim_one()
        assert references.load(rt, claimed) == ()

    def test_what_was_sent_is_read_from_the_store(self, rt, claim, alice):
        sent = [upload.receive(rt, alice, content) for content in (files.png(), files.jpeg())]
        found = references.load(rt, claim(*[{"sha256": one.sha256} for one in reversed(sent)]))
        assert [(one.sha256, one.mime) for one in found] == [(one.sha256, one.mime) for one in reversed(sent)]
        assert Image.open(io.BytesIO(found[0].content)).size == (64, 48)

    def test_a_hash_that_the_request_does_not_refer_to_opens_nothing(self, rt, claim, board, alice):
        theirs = upload.receive(rt, alice, files.png())
        claimed = claim({"sha256": theirs.sha256})
        board.do("DELETE FROM request_assets")
        with pytest.raises(ProviderError) as caught:
            references.load(rt, claimed)
        assert caught.value.failure.kind is FailureKind.BAD_REQUEST
        assert caught.value.failure.message == "Reference image 1 is no longer stored."

    def test_a_file_that_cannot_be_read_now_is_tried_again_later(self, rt, claim, alice):
        sent = upload.receive(rt, alice, files.png())
        rt.store.remove(sent.sha256)
        with pytest.raises(ProviderError) as caught:
            references.load(rt, claim({"sha256": sent.sha256}))
        assert caught.value.failure.kind is FailureKind.STORAGE


class TestFetched:
    def test_it_is_made_ours_and_kept_with_the_request(self, load_from, serve, rt, board):
        server = serve(says(answer(files.png(4096, 1024))))
        [found] = load_from(f"{server.url}/cat.png")
        assert Image.open(io.BytesIO(found.content)).size == (2048, 512)
        assert kept(board) == {"reference-0": found.sha256}
        with rt.store.open(found.sha256) as file:
            assert file.read() == found.content
        assert list(rt.store.draft().parent.iterdir()) == []

    def test_it_is_asked_for_plainly_and_once(self, open_rt, claim, serve):
        server = serve(says(PICTURE))
        claimed = claim({"url": f"{server.url}/cat.png?size=large"})
        first, second = (references.load(open_rt, claimed) for _ in range(2))
        assert first == second
        assert server.connections == 1
        assert server.seen[0].startswith(b"GET /cat.png?size=large HTTP/1.1\r\n")
        assert not any(word in server.seen[0].lower() for word in (b"authorization", b"cookie", b"x-api-key"))

    def test_the_next_attempt_and_a_retry_fetch_nothing(self, open_rt, claim, serve, board, alice):
        server = serve(says(PICTURE))
        images = [{"url": server.url}]
        claimed = claim(*images)
        first = references.load(open_rt, claimed)
        board.put_one(alice, metadata={"referenceImages": images}, origin_id=claimed.request_id)
        assert references.load(open_rt, board.claim_one()) == first
        assert server.connections == 1

    def test_each_finds_its_place(self, open_rt, claim, serve, alice, board):
        server = serve(says(answer(files.jpeg(30, 20))))
        sent = upload.receive(open_rt, alice, files.png())
        claimed = claim({"url": server.url}, {"sha256": sent.sha256}, {"url": f"{server.url}/b"})
        sizes = [Image.open(io.BytesIO(one.content)).size for one in references.load(open_rt, claimed)]
        assert sizes == [(30, 20), (64, 48), (30, 20)]
        assert list(kept(board)) == ["reference-1", "reference-0", "reference-2"]

    def test_no_connection_to_the_database_is_held_meanwhile(self, open_rt, claim, serve):
        held = []

        def act(line: Line) -> None:
            line.read()
            held.append(open_rt.db.engine.pool.checkedout())
            line.say(PICTURE)

        references.load(open_rt, claim({"url": serve(act).url}))
        assert held == [0]

    def test_redirects_are_followed(self, load_from, serve):
        there = serve(says(PICTURE))
        server = serve(says(redirect(f"{there.url}/b")))
        assert len(load_from(server.url)) == 1

    def test_what_it_is_called_does_not_matter(self, load_from, serve):
        server = serve(says(answer(files.webp(), "Content-Type: text/html")))
        assert len(load_from(server.url)) == 1

    def test_one_that_was_lost_meanwhile_changes_nothing(self, open_rt, claim, serve, board):
        server = serve(says(PICTURE))
        claimed = claim({"url": server.url})
        assert len(references.load(open_rt, replace(claimed, fence=claimed.fence - 1))) == 1
        assert kept(board) == {}

    def test_of_two_that_fetch_at_once_one_is_kept(self, open_rt, claim, serve, board):
        answers = iter([answer(files.png(40, 40)), answer(files.png(50, 50))])
        both = threading.Barrier(2)

        def act(line: Line) -> None:
            line.read()
            both.wait(10)
            line.say(next(answers))

        claimed = claim({"url": serve(act).url})
        threads = [threading.Thread(target=references.load, args=(open_rt, claimed)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        [again] = references.load(open_rt, claimed)
        assert kept(board) == {"reference-0": again.sha256}


class TestRefused:
    INSIDE = (
        "http://127.0.0.1:{port}/",
        "http://127.1:{port}/",
        "http://localhost:{port}/",
        "http://[::ffff:127.0.0.1]:{port}/",
        "http://169.254.169.254/latest/meta-data/",
        "http://10.0.0.7/",
        "http://[fd00:ec2::254]/",
        "http://0.0.0.0:{port}/",
    )

    @pytest.mark.parametrize("url", INSIDE)
    def test_an_address_inside_is_never_asked(self, why, serve, url):
        server = serve(says(PICTURE))
        message = why(url.format(port=server.port))
        assert message.startswith("Reference image 1 could not be fetched: its address")
        assert server.connections == 0

    @pytest.mark.parametrize("url", INSIDE)
    def test_nor_where_a_redirect_leads_there(self, why, serve, rt, url):
        inside = serve(says(PICTURE))
        outside = serve(says(redirect(url.format(port=inside.port))))
        rt.__dict__["egress"] = Egress((f"127.0.0.1:{outside.port}",))
        assert "its address, or one that it leads to" in why(outside.url)
        assert (outside.connections, inside.connections) == (1, 0)

    def test_nor_where_a_name_leads_there(self, why, serve, monkeypatch):
        server = serve(says(PICTURE))
        real = socket.getaddrinfo

        def look_up(host, *args, **named):
            return real("127.0.0.1" if host == "pictures.example" else host, *args, **named)

        monkeypatch.setattr(socket, "getaddrinfo", look_up)
        assert "could not be fetched" in why(f"http://pictures.example:{server.port}/a.png")
        assert server.connections == 0

    def test_redirects_without_end_are_not_followed(self, why, serve, open_rt):
        server = serve(says(redirect("/")))
        assert "leads on too often" in why(server.url, open_rt)
        assert server.connections == 4

    @pytest.mark.parametrize(
        "url", ["file:///etc/passwd", "ftp://example.com/a.png", "http://a:b@example.com/"]
    )
    def test_other_ways_are_not_gone(self, why, url):
        assert "could not be fetched" in why(url)


SECRET = b"what the server says about itself"


class TestBroken:
    @pytest.mark.parametrize("status", ["404 Not Found", "500 Oh No", "403 Forbidden", "429 Slow Down"])
    def test_a_server_that_refuses_is_told_by_its_number(self, why, serve, open_rt, status):
        server = serve(says(answer(SECRET, status=status)))
        number = status.split()[0]
        assert (
            why(server.url, open_rt)
            == f"Reference image 1 could not be fetched: its server answered {number}."
        )

    @pytest.mark.parametrize(
        "content", [files.html(), files.svg(script=True), files.archive(), b"", SECRET, files.glb()]
    )
    def test_what_is_no_picture_is_not_used(self, why, serve, open_rt, content):
        message = why(serve(says(answer(content))).url, open_rt)
        assert message == "Reference image 1 can't be used: it is not a PNG, JPEG, WebP, GIF or AVIF picture."

    @pytest.mark.parametrize(
        "content", [files.bomb(), files.png()[:120], files.fat_png(), b"\xff\xd8\xff" + SECRET]
    )
    def test_what_is_a_bad_picture_is_not_used(self, why, serve, open_rt, content):
        message = why(serve(says(answer(content))).url, open_rt)
        assert message.startswith("Reference image 1 can't be used. The picture")

    def test_over_twenty_megabytes_is_too_much(self, why, serve, open_rt):
        server = serve(says(answer(files.png() + bytes(20 << 20))))
        assert why(server.url, open_rt) == "Reference image 1 could not be fetched: it is over 20 MB."

    def test_what_unpacks_to_more_is_too(self, why, serve, open_rt):
        server = serve(says(answer(bomb(), "Content-Encoding: gzip")))
        assert "over 20 MB" in why(server.url, open_rt)

    def test_a_server_that_takes_its_time_is_not_waited_for(self, why, serve, open_rt, monkeypatch):
        monkeypatch.setattr(references, "FETCH_SECONDS", 0.5)

        def act(line: Line) -> None:
            line.read()
            line.say(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            line.drip()

        assert "it took over" in why(serve(act).url, open_rt)

    def test_an_answer_that_breaks_off_is_none(self, why, serve, open_rt):
        server = serve(says(PICTURE[:-30]))
        assert "the answer broke off" in why(server.url, open_rt)

    def test_where_nobody_is_nobody_is_reached(self, why, serve, open_rt):
        with serving(says(PICTURE)) as server:
            url = server.url
        assert why(url, open_rt) == "Reference image 1 could not be fetched: nobody can be reached there."

    def test_no_sentence_holds_the_servers_words_or_the_address(self, claim, serve, open_rt):
        for reply in (
            answer(SECRET, status=f"418 {SECRET.decode()}"),
            answer(SECRET),
            redirect(f"http://10.0.0.7/{SECRET.decode().replace(' ', '-')}"),
            SECRET,
        ):
            with pytest.raises(ProviderError) as caught:
                references.load(open_rt, claim({"url": f"{serve(says(reply)).url}/canary"}))
            message = caught.value.failure.message
            assert not any(
                word in message for word in ("says about", "10.0.0.7", "127.0.0.1", "canary", "http")
            )

    def test_the_second_of_two_is_named(self, claim, serve, open_rt):
        good, bad = serve(says(PICTURE)), serve(says(answer(SECRET)))
        with pytest.raises(ProviderError, match="Reference image 2"):
            references.load(open_rt, claim({"url": good.url}, {"url": bad.url}))

    def test_a_child_that_dies_over_it_fails_this_request_alone(
        self, why, serve, open_rt, monkeypatch, claim
    ):
        server = serve(says(PICTURE))
        run = open_rt.finisher._guard.run
        with monkeypatch.context() as patch:
            patch.setattr(open_rt.finisher._guard, "run", lambda *_, **__: run(os.abort))
            assert "could not be decoded safely" in why(server.url, open_rt)
        assert references.load(open_rt, claim({"url": server.url}))

    def test_a_full_disk_of_ours_is_not_the_clients_fault(self, load_from, serve, rt, monkeypatch):
        def full(*_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(rt.store, "publish", full)
        with pytest.raises(ProviderError) as caught:
            load_from(serve(says(PICTURE)).url)
        assert caught.value.failure.kind is FailureKind.STORAGE
        assert caught.value.failure.kind.retryable


class TestWorker:
    def test_the_provider_is_handed_what_was_fetched(self, open_rt, fake, board, alice, serve):
        server = serve(says(answer(files.png(3000, 1500))))
        request = board.put_one(alice, metadata={"referenceImages": [{"url": server.url}]})
        with draining(open_rt):
            until(lambda: board.row(request).status == "completed")
        [task] = fake.tasks
        [reference] = task.references
        assert Image.open(io.BytesIO(reference.content)).size == (2048, 1024)
        assert sorted(kept(board)) == ["image", "reference-0", "thumbnail"]

    def test_a_second_attempt_asks_the_provider_again_and_nobody_else(
        self, open_rt, fake, board, alice, serve
    ):
        server = serve(says(PICTURE))

        def submit(_task, _context):
            if len(fake.tasks) == 1:
                raise ProviderError(FailureKind.JOB_FAILED, "Not this time.")
            return done()

        fake._submit = submit
        request = board.put_one(alice, metadata={"referenceImages": [{"url": server.url}]})
        with draining(open_rt):
            until(lambda: Sweeper(open_rt).tick() and board.row(request).status == "completed", 20)
        assert len(fake.tasks) == 2
        assert server.connections == 1

    def test_one_that_cannot_be_had_fails_the_request_before_anything_is_paid(
        self, rt, fake, board, alice, serve
    ):
        server = serve(says(PICTURE))
        request = board.put_one(alice, metadata={"referenceImages": [{"url": server.url}]})
        with draining(rt):
            row = until(lambda: (found := board.row(request)).status == "failed" and found)
        assert row.error["code"] == "bad_request"
        assert row.error["message"].startswith("Reference image 1 could not be fetched")
        assert row.error["retryable"] is False
        assert fake.tasks == []


class TestTaken:
    """What the doors hand in, without one."""

    def order(self, *images):
        return Order(Kind.COVER, "A lighthouse in a storm", reference_images=images)

    def test_orders_without_pictures_come_back_as_they_are(self, rt, alice):
        orders = [self.order(), self.order()]
        assert references.take(rt, alice, orders) == orders

    def test_an_operator_may_use_what_they_can_see(self, rt, alice, person):
        sent = upload.receive(rt, alice, files.png())
        [taken] = references.take(rt, person("olga", Role.OPERATOR), [self.order(Uploaded(sent.id))])
        assert taken.metadata == {"referenceImages": [{"sha256": sent.sha256}]}

    def test_a_client_may_not(self, rt, alice, bob):
        sent = upload.receive(rt, alice, files.png())
        with pytest.raises(Invalid) as caught:
            references.take(rt, bob, [self.order(Linked("https://example.com/"), Uploaded(sent.id))])
        assert [fault.field for fault in caught.value.faults] == ["referenceImages.1.upload"]

    def test_an_order_does_not_show_its_bytes(self):
        assert "canary" not in repr(self.order(Inline(b"canary")))


class TestCosts:
    """What the statements touch where twenty thousand files are stored."""

    @pytest.fixture
    def scales(self, board, alice):
        scales = Scales(board, alice)
        board.do(
            "INSERT INTO assets (sha256, mime, bytes, width, height, kept_at)"
            " SELECT lpad(to_hex(n), 64, '0'), 'image/png', 1, 1, 1, clock_timestamp() - interval '2 days'"
            " FROM generate_series(1, 20000) AS n"
        )
        board.do(
            "INSERT INTO uploads (id, owner_id, sha256, used_at)"
            " SELECT 'vgu_' || sha256, :owner, sha256, clock_timestamp() FROM assets",
            owner=alice.user_id,
        )
        board.do("ANALYZE assets, uploads")
        return scales

    def test_the_pictures_of_a_new_request_are_found_by_their_hashes(self, scales, alice):
        images = [{"sha256": f"{n:064x}"} for n in range(1, 5)]
        request = asdict(new_request(metadata={"referenceImages": images}, origin_id="vga_1"))
        given = {"batch": None, "into": None, "total": 1, "key": None, "traceparent": None}
        plan = scales.plan(
            enqueue._PUT, owner=alice.user_id, requests=json.dumps([request], default=str), **given
        )
        assert {"assets", "request_assets"}.isdisjoint(plan.scanned())
        assert plan.buffers < 200

    def test_uploads_that_are_young_are_not_looked_at(self, scales):
        assert scales.plan(retain._UPLOADS, hours=24, page=500).buffers < 10

    def test_a_file_is_known_to_be_in_use_by_one_look(self, scales):
        assert scales.plan(assets._LET_GO, sha256=f"{7:064x}", seconds=86_400).buffers < 20


class TestRetention:
    @pytest.fixture
    def sent(self, rt, alice, board):
        """Return a function that uploads a picture for alice, as long ago as it says."""

        def act(content=None, *, hours=0, who=alice):
            kept = upload.receive(rt, who, content or files.png())
            board.do(
                "UPDATE uploads SET used_at = used_at - make_interval(hours => :h) WHERE id = :id",
                h=hours,
                id=kept.id,
            )
            board.do("UPDATE assets SET kept_at = kept_at - make_interval(hours => :h)", h=hours)
            return kept

        return act

    def uploads(self, board):
        with board.db.once() as tx:
            return list(tx.execute(text("SELECT id FROM uploads ORDER BY id")).scalars())

    def tick(self, rt):
        assert Sweeper(rt).tick()

    def test_what_nothing_used_for_a_day_goes_with_its_file(self, rt, sent, board):
        old = sent(hours=25)
        self.tick(rt)
        assert self.uploads(board) == []
        assert not rt.store.path(old.sha256).exists()
        assert board.scalar("SELECT count(*) FROM assets") == 0

    def test_what_is_younger_stays(self, rt, sent, board):
        young = sent(hours=23)
        board.do("UPDATE assets SET kept_at = kept_at - interval '9 days'")
        self.tick(rt)
        assert self.uploads(board) == [young.id]
        assert rt.store.path(young.sha256).exists()

    def test_the_file_of_an_upload_is_in_use(self, sent, board):
        young = sent(hours=25)
        with board.db.begin() as tx:
            assert assets.unreferenced(tx, 86_400) == []
            assert not assets.let_go(tx, young.sha256, 86_400)

    def test_how_long_is_a_setting(self, rt, sent, board):
        sent(hours=25)
        rt.settings = replace(rt.settings, upload_hours=26)
        self.tick(rt)
        assert len(self.uploads(board)) == 1

    @pytest.mark.parametrize("ended", [False, True])
    def test_what_a_request_refers_to_stays_as_long_as_the_request(self, rt, sent, board, alice, ended):
        old = sent(hours=25)
        request = board.put_one(alice, metadata={"referenceImages": [{"sha256": old.sha256}]})
        if ended:
            board.do("UPDATE generation_requests SET status = 'cancelled', completed_at = clock_timestamp()")
            board.do("DELETE FROM generation_queue")
        self.tick(rt)
        assert self.uploads(board) == [old.id]
        assert rt.store.path(old.sha256).exists()
        board.do("DELETE FROM generation_requests WHERE id = :id", id=request)
        board.do("UPDATE uploads SET used_at = used_at - interval '25 hours'")
        self.tick(rt)
        assert self.uploads(board) == []
        assert not rt.store.path(old.sha256).exists()

    def test_what_came_with_a_request_goes_with_it(self, rt, board, alice):
        order = Order(Kind.COVER, "A lighthouse in a storm", reference_images=(Inline(files.png()),))
        [taken] = references.take(rt, alice, [order])
        request = board.put_one(alice, metadata=taken.metadata)
        board.do("UPDATE assets SET kept_at = kept_at - interval '2 days'")
        self.tick(rt)
        assert len(list(rt.store.hashes())) == 1
        board.do("DELETE FROM generation_requests WHERE id = :id", id=request)
        self.tick(rt)
        assert list(rt.store.hashes()) == []

    def test_what_a_request_never_came_of_goes_after_a_day(self, rt, board, alice):
        order = Order(Kind.COVER, "A lighthouse in a storm", reference_images=(Inline(files.png()),))
        references.take(rt, alice, [order])
        self.tick(rt)
        assert len(list(rt.store.hashes())) == 1
        board.do("UPDATE assets SET kept_at = kept_at - interval '25 hours'")
        self.tick(rt)
        assert list(rt.store.hashes()) == []

    def test_one_owners_request_does_not_keep_anothers_upload_but_the_file(self, rt, sent, board, alice, bob):
        theirs = sent(hours=25, who=bob)
        board.put_one(alice, metadata={"referenceImages": [{"sha256": theirs.sha256}]})
        self.tick(rt)
        assert self.uploads(board) == []
        assert rt.store.path(theirs.sha256).exists()

    def test_a_result_of_the_same_content_does_not_keep_an_upload(self, rt, sent, board, alice):
        old = sent(hours=25)
        request = board.put_one(alice)
        board.do("INSERT INTO request_assets VALUES (:id, 'image', :sha)", id=request, sha=old.sha256)
        self.tick(rt)
        assert self.uploads(board) == []
        assert rt.store.path(old.sha256).exists()

    def test_what_is_in_use_is_not_looked_at_again_for_as_long(self, rt, sent, board, alice):
        old = sent(hours=25)
        board.put_one(alice, metadata={"referenceImages": [{"sha256": old.sha256}]})
        looked = []
        for _ in range(2):
            with board.db.begin() as tx:
                looked.append(retain.uploads(tx, hours=24))
        assert looked == [1, 0]

    def test_it_goes_a_page_at_a_time(self, rt, board, alice, monkeypatch):
        board.do(
            "INSERT INTO assets (sha256, mime, bytes, width, height)"
            " SELECT lpad(to_hex(n), 64, '0'), 'image/png', 1, 1, 1 FROM generate_series(1, 1200) AS n"
        )
        board.do(
            "INSERT INTO uploads (id, owner_id, sha256, used_at)"
            " SELECT 'vgu_' || sha256, :owner, sha256, clock_timestamp() - interval '2 days' FROM assets",
            owner=alice.user_id,
        )
        pages = []
        for _ in range(4):
            with board.db.begin() as tx:
                pages.append(retain.uploads(tx, hours=24))
        assert pages == [500, 500, 200, 0]
        assert self.uploads(board) == []

    def test_an_upload_that_is_being_used_is_not_taken_away(self, rt, sent, board, alice):
        old = sent(hours=25)
        with board.db.begin() as using, board.db.begin() as cleaning:
            using.execute(text("UPDATE uploads SET used_at = clock_timestamp()"))
            assert retain.uploads(cleaning, hours=24) == 0
        assert self.uploads(board) == [old.id]

    def test_strays_know_uploads(self, rt, sent):
        old = sent(hours=1)
        os.utime(rt.store.path(old.sha256), (0, 0))
        assert sweep.remove_strays(rt) == 0
        assert rt.store.path(old.sha256).exists()
