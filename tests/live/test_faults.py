"""Who is cut off, or watches while a server dies, has missed nothing in the end."""

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from redis import Redis

import migrations
from app import config, runtime
from app.domain.failure import FailureKind
from app.domain.verdict import Completed
from app.domain.vocabulary import Role
from app.local import places, postgres, valkey
from app.queue import assets, progress
from app.runtime import Runtime
from app.services import access, tokens
from tests.conftest import Servers, environment, until
from tests.factories import Board
from tests.fakes.remote import Studio
from tests.fakes.scripted import picture
from tests.live.follower import Follower, SocketFollower, StreamFollower, following
from tests.live.proxy import Proxy
from tests.queue.acts import cancel, failed, settle_as, stored
from tests.walk.service import Service, running

pytestmark = [pytest.mark.walk, pytest.mark.timeout(240)]
CUTS, REQUESTS = 200, 500
FILES = (stored("a"), stored("b", "thumbnail"))
PICTURE = Completed("fake", "fake-1", 7, FILES)
PACES = 0.005, 0.05


@pytest.fixture
def chance() -> random.Random:
    seed = random.randrange(1 << 32)
    print(f"seed={seed}")
    return random.Random(seed)


@pytest.fixture
def pair(db, servers: Servers, tmp_path: Path) -> Iterator[Service]:
    """Two web processes, so that who comes back may come to the other one."""
    told = environment(servers, tmp_path) | {"PROVIDERS": "sketch"}
    with running(told, tmp_path, "web", web_workers=2) as service:
        yield service


@pytest.fixture
def proxy(pair: Service, chance: random.Random) -> Iterator[Proxy]:
    with Proxy(pair.port, chance) as made:
        yield made


class Movers:
    """Threads that take `n` requests along their course by the queue's own verbs, each with up to `most` updates."""

    def __init__(self, board: Board, chance: random.Random, n: int, most: int) -> None:
        self._board = board
        self._worker = board.worker(seconds=600)
        self._percents = [sorted(chance.sample(range(99), chance.randint(0, most))) for _ in range(n)]
        self._ends = [chance.random() for _ in range(n)]
        self._lock = threading.Lock()
        self._steps = 0
        with board.db.begin() as tx:
            assets.keep(tx, FILES)

    def move(self, pace: Callable[[float], object], *, threads: int = 4) -> None:
        """Bring each to an end; before each step `pace` is told which share of all is done."""
        self._pace = pace
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(self._one, self._percents, self._ends))

    def _one(self, percents: Sequence[int], end: float) -> None:
        self._step()
        claimed = self._board.claim_one(self._worker)
        for percent in percents:
            self._step()
            with self._board.db.once() as tx:
                assert progress.report(tx, claimed, percent, "drawing")
        self._step()
        if end < 0.1:
            assert cancel(self._board, claimed.request_id)
        else:
            assert settle_as(self._board, claimed, PICTURE if end < 0.8 else failed(FailureKind.POLICY_INPUT))

    def _step(self) -> None:
        with self._lock:
            done, self._steps = self._steps, self._steps + 1
        self._pace(done / sum(len(percents) + 2 for percents in self._percents))


def move_and_cut(
    movers: Movers, proxy: Proxy, cuts: int, chance: random.Random, followers: Sequence[Follower]
) -> None:
    """Cut so many times, at random, from the first step of the requests to the last one."""
    over = threading.Event()

    def cut() -> None:
        while proxy.cuts < cuts and not over.wait(chance.uniform(*PACES)):
            proxy.cut()

    cutter = threading.Thread(target=cut, daemon=True)
    with following(*followers):
        cutter.start()
        try:
            movers.move(lambda share: until(lambda: proxy.cuts >= share * cuts, 60))
            until(lambda: all(one.done for one in followers), 60)
        finally:
            over.set()
            cutter.join()
    lines, updates = sum(one.lines for one in followers), sum(one.updates for one in followers)
    print(f"cuts={proxy.cuts} lines={lines} updates={updates}")
    assert proxy.cuts == cuts


def check(board: Board, followers: Sequence[Follower]) -> None:
    """Everybody has each request up to its last event, and nothing was wrong on the way."""
    for one in followers:
        assert not one.faults
        assert one.ended == one.ids
        assert one.seqs == {name: len(board.events(name)) for name in one.ids}


def test_who_is_cut_off_200_times_sees_every_change_once_and_in_order(proxy, board, alice, as_, chance):
    batch, ids = board.put_batch(alice, REQUESTS, REQUESTS)
    followers = [
        *(SocketFollower(proxy.port, as_(alice), ids, batch=batch) for _ in range(3)),
        *(SocketFollower(proxy.port, as_(alice), ids[start : start + 20]) for start in range(0, 120, 20)),
    ]
    move_and_cut(Movers(board, chance, REQUESTS, 3), proxy, CUTS, chance, followers)
    check(board, followers)


def test_a_stream_that_is_cut_off_goes_on_after_the_last_event_that_came_whole(
    proxy, board, alice, as_, chance
):
    ids = board.put(alice, 8)
    followers = [StreamFollower(proxy.port, as_(alice), name) for name in ids]
    move_and_cut(Movers(board, chance, len(ids), 20), proxy, 40, chance, followers)
    check(board, followers)


class Site:
    """A service with servers of its own, which a test may stop; its provider answers when it is let."""

    def __init__(self, folder: Path, up: ExitStack) -> None:
        self._data = up.enter_context(places.scratch())
        self._postgres, self._valkey = up.enter_context(ExitStack()), up.enter_context(ExitStack())
        self._lock = threading.Lock()
        self._allowed, self._asked, self._given = threading.Semaphore(0), 0, 0
        self.redis_url = self.start_redis()
        told = {
            **environment(Servers(self.start_postgres(), self.redis_url), folder),
            "PROVIDERS": "fake",
            "PROVIDER_MODULES": "tests.fakes.remote",
            "FAKE_URL": up.enter_context(Studio(self._answer)).url,
            "SWEEP_SECONDS": "0.3",
            "LEASE_SECONDS": "4",
            "HEARTBEAT_SECONDS": "1",
        }
        rt = _tools(told, folder, up)
        migrations.upgrade(rt.db.engine)
        access.add_user(rt, "test", "alice", "a password of hers", Role.CLIENT)
        self.alice = access.find_user(rt, "alice")
        self.headers = {"Authorization": f"Bearer {tokens.access(rt, self.alice)}"}
        self.board = Board(rt.db)
        self.service = up.enter_context(running(told, folder, "web", "worker", "sweeper", web_workers=2))

    def hold(self) -> None:
        """Let the provider answer nobody from now on."""
        self._allowed = threading.Semaphore(0)

    def let(self, answers: int) -> None:
        """Let the provider give so many answers, and wait until it has."""
        given = self._given + answers
        self._allowed.release(answers)
        until(lambda: self._given >= given, 30)

    def is_asked(self, times: int) -> bool:
        """Whether so many wait for the provider's answer."""
        return self._asked - self._given >= times

    def let_go(self) -> None:
        """Let the provider answer everybody."""
        self._allowed.release(1000)

    def start_redis(self) -> str:
        return self._valkey.enter_context(valkey.running(self._data))

    def stop_redis(self) -> None:
        self._valkey.close()

    def start_postgres(self) -> str:
        return self._postgres.enter_context(postgres.running(self._data))

    def stop_postgres(self) -> None:
        self._postgres.close()

    def _answer(self, _request_id: str) -> tuple[int, bytes]:
        allowed = self._allowed
        with self._lock:
            self._asked += 1
        allowed.acquire(timeout=60)
        with self._lock:
            self._given += 1
        return 200, picture()


def _tools(told: dict[str, str], folder: Path, up: ExitStack) -> Runtime:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in told.items():
            patch.setenv(name, value)
        rt = runtime.build(config.load(folder / "none.env"))
    up.callback(rt.close)
    return rt


@contextmanager
def redis_forgets(site: Site) -> Iterator[None]:
    with Redis.from_url(site.redis_url) as redis:
        redis.flushall()
    yield


@contextmanager
def redis_is_away(site: Site) -> Iterator[None]:
    site.stop_redis()
    try:
        yield
    finally:
        site.start_redis()


@contextmanager
def the_database_is_away(site: Site) -> Iterator[None]:
    site.stop_postgres()
    try:
        yield
    finally:
        site.start_postgres()
        site.board.db.engine.dispose()


@contextmanager
def a_web_process_is_killed(site: Site) -> Iterator[None]:
    site.service.process("web").children()[0].kill()
    yield


@contextmanager
def the_worker_is_killed(site: Site) -> Iterator[None]:
    site.service.kill("worker")
    try:
        yield
    finally:
        site.service.start("worker")


@contextmanager
def the_sweeper_is_killed(site: Site) -> Iterator[None]:
    site.service.kill("sweeper")
    try:
        yield
    finally:
        site.service.start("sweeper")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with ExitStack() as up:
        yield Site(tmp_path_factory.mktemp("site"), up)


@pytest.mark.parametrize(
    "happens",
    [
        redis_forgets,
        redis_is_away,
        the_database_is_away,
        a_web_process_is_killed,
        the_worker_is_killed,
        the_sweeper_is_killed,
    ],
)
def test_who_watches_misses_nothing_though(happens, site):
    site.hold()
    batch, ids = site.board.put_batch(site.alice, 20, 20)
    port, headers = site.service.port, site.headers
    followers = [
        SocketFollower(port, headers, ids, batch=batch),
        *(SocketFollower(port, headers, ids) for _ in range(4)),
        *(StreamFollower(port, headers, name) for name in ids[::4]),
    ]
    with following(*followers):
        site.let(5)
        until(lambda: site.is_asked(3), 30)
        with happens(site):
            site.let(3)
        site.let_go()
        until(lambda: all(one.done for one in followers), 60)
    print(f"updates={sum(one.updates for one in followers)} lines={sum(one.lines for one in followers)}")
    check(site.board, followers)
