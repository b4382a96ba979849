"""Any interleaving of events, rings heard and lost, and watchers coming and going: nobody misses anything or hears it twice."""

from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.queue import progress
from app.services.live import hub as hubs
from app.services.live import topic as topics
from app.services.live import update as updates
from app.services.live.follow import follow
from app.services.live.hub import Hub, Subscription
from app.services.live.topic import Scope, Topic
from tests.queue.acts import cancel

TOPICS = ["first", "second", "batch", "house", "everybody"]
# What the world does while a watcher comes, too; "ring" brings what happened since the last one, unless it was lost.
WORLD = ["event first", "event second", "newcomer", "end newest", "ring", "ring", "lose", "look"]


@dataclass
class Watching:
    """A watcher, and by request the last `seq` that it knows; fails where that goes on otherwise than by one."""

    topic: Topic
    at: dict = field(default_factory=dict)
    subscription: Subscription | None = None

    def say(self, message):
        if message["type"] == "subscribed" and message.get("resync"):
            self.at.clear()
        if message["type"] == "snapshot":
            shown = message["data"].get("requests", [message["data"]])
            for row in shown:
                assert row["requestId"] not in self.at
                self.at[row["requestId"]] = row["seq"]

    def told(self, update):
        assert update.seq == self.at.get(update.request_id, 0) + 1
        self.at[update.request_id] = update.seq


class World:
    """Two requests of a batch in a project, and what comes later; each act is one word."""

    def __init__(self, rt, board, alice, operator):
        board.do("TRUNCATE generation_requests CASCADE")
        self.rt, self.board, self.alice, self.operator = rt, board, alice, operator
        self.hub = Hub(rt)
        self.hub._listen = lambda: None
        batch, self.requests = board.put_batch(alice, 2, 2, project_id="house")
        self.claims = dict(zip(self.requests, board.claim(board.worker(), 2), strict=True))
        self.rung, self.watching = set(self.requests), []
        self.topics = {
            "first": Topic(Scope.REQUEST, self.requests[0]),
            "second": Topic(Scope.REQUEST, self.requests[1]),
            "batch": Topic(Scope.BATCH, batch),
            "house": topics.of(alice, Scope.PROJECT, "house"),
            "everybody": topics.of(operator, Scope.PROJECT, "house"),
        }

    def act(self, word):
        reading = self.hub._reading.locked()
        match word.split():
            case ["event", which]:
                self.further(self.requests[which == "second"])
            case ["newcomer"]:
                self.requests += self.board.put(self.alice, 1, project_id="house")
                self.rung.add(self.requests[-1])
            case ["end", _]:
                cancel(self.board, self.requests[-1])
                self.rung.add(self.requests[-1])
            case ["ring"] if not reading:
                self.hub.hear(self.rung)
                self.rung = set()
            case ["lose"]:
                self.rung = set()
            case ["look"] if not reading:
                self.hub.look()

    def further(self, request):
        with self.board.db.once() as tx:
            if progress.report(tx, self.claims[request], 10, "drawing"):
                self.rung.add(request)

    def join(self, name, after):
        """Join; `after` is None, or how far behind the watcher is in all that it could know."""
        watching = Watching(self.topics[name])
        known = self.seqs(watching.topic) if after is not None else {}
        watching.at = {one: max(0, seq - after) for one, seq in known.items()}
        who = self.operator if name == "everybody" else self.alice
        # One number is for one request: of what comes to a project meanwhile it would say too much.
        single = watching.topic.scope is Scope.REQUEST
        given = next(iter(watching.at.values()), None) if single else dict(watching.at)
        watching.subscription = follow(
            self.rt,
            self.hub,
            who,
            watching.topic,
            None if after is None else given,
            say=watching.say,
            show=watching.told,
            sink=watching.told,
        )
        self.watching.append(watching)

    def seqs(self, topic):
        with self.board.db.once() as tx:
            places = topics.topics_of(tx, self.requests)
        return {one: self.board.row(one).event_seq for one in self.requests if topic in places[one]}

    def settle(self):
        """Let the hub look a last time: everybody knows all then."""
        self.hub.look()
        for watching in self.watching:
            assert watching.at == self.seqs(watching.topic)


JOIN = st.tuples(
    st.just("join"),
    st.sampled_from(TOPICS),
    st.sampled_from([None, None, 0, 1, 3]),
    # What happens right after each reading of the database while it joins.
    st.lists(st.sampled_from(WORLD), max_size=4),
)
LEAVE = st.tuples(st.just("leave"), st.integers(0, 5))
ACTS = st.lists(
    st.one_of(st.sampled_from(WORLD), st.sampled_from(WORLD), JOIN, LEAVE), min_size=4, max_size=20
)


@pytest.fixture
def interrupted(monkeypatch):
    """Have the words that are put into the list done, one after each reading of the database."""
    words, worlds = [], []

    def after(read):
        def then(*given):
            found = read(*given)
            if words and worlds:
                worlds[-1].act(words.pop(0))
            return found

        return then

    monkeypatch.setattr(topics, "standing", after(topics.standing))
    monkeypatch.setattr(updates, "read", after(updates.read))
    for module in (updates, hubs):
        monkeypatch.setattr(module, "PAGE", 2)
    return words, worlds


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ACTS)
def test_everybody_hears_everything_once_and_in_order(rt, board, alice, operator, interrupted, acts):
    words, worlds = interrupted
    world = World(rt, board, alice, operator)
    worlds[:] = [world]
    rt.db.told = lambda _ids: None
    for act in acts:
        match act:
            case ("join", name, after, meanwhile):
                words[:] = meanwhile
                world.join(name, after)
                words.clear()
            case ("leave", n):
                if n < len(world.watching):
                    world.hub.leave(world.watching.pop(n).subscription)
            case word:
                world.act(word)
    world.settle()
