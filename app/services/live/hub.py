"""The watchers of one process: one thread hears and reads for all of them.

The order of things makes it gap-free: a watcher joins first, then reads how its topic stands, then starts.
What came in between was kept for it, and what it has been shown already is left out.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from threading import Event as Flag
from threading import Lock, Thread

import structlog
from redis.exceptions import RedisError

from app.db import FAILED
from app.domain.vocabulary import ENDINGS
from app.runtime import Runtime
from app.services.live import topic as topics
from app.services.live import update as updates
from app.services.live.topic import Scope, Standing, Topic
from app.services.live.update import PAGE, Update

_log = structlog.get_logger(__name__)
# How long a ring is waited for, and how often everything is looked at whatever is heard.
_EAR_SECONDS = 1.0
_LOOK_SECONDS = 5.0
# How long a project's request is remembered after its end: longer than one may turn up as a newcomer.
_ENDED_FOR = topics.RECENT.total_seconds() * 2

Sink = Callable[[Update], None]


@dataclass(eq=False)
class Subscription:
    """One watcher of one topic. Until it starts, what happens is kept in `pending`.

    `ahead` is up to where it was shown more of a request than the others had been told by then.
    """

    topic: Topic
    sink: Sink
    # Whether nothing more happens to any request of it.
    over: bool = False
    pending: list[Update] | None = field(default_factory=list)
    ahead: dict[str, int] = field(default_factory=dict)


@dataclass(eq=False)
class _Watched:
    """A topic that somebody watches: the last `seq` that was told of each of its requests, and when some ended."""

    watchers: set[Subscription] = field(default_factory=set)
    told: dict[str, int] = field(default_factory=dict)
    ended: dict[str, float] = field(default_factory=dict)
    ready: bool = False


class Hub:
    """Tells every watcher of this process what happens to what it watches: complete, in order, once."""

    def __init__(self, rt: Runtime) -> None:
        self._rt = rt
        self._lock = Lock()
        self._reading = Lock()
        self._topics: dict[Topic, _Watched] = {}
        self._by_request: dict[str, set[Topic]] = {}
        # Of these every project that is watched and that they belong to follows them already.
        self._placed: set[str] = set()
        self._closing = Flag()
        self._listener: Thread | None = None

    def join(self, topic: Topic, sink: Sink) -> Subscription:
        """Begin to watch; nothing is told before `start`. `sink` must not wait for anything."""
        subscription = Subscription(topic, sink)
        with self._lock:
            self._topics.setdefault(topic, _Watched()).watchers.add(subscription)
            if self._listener is None:
                self._listener = Thread(target=self._listen, name="live", daemon=True)
                self._listener.start()
        return subscription

    def start(self, subscription: Subscription, found: Standing, seen: Mapping[str, int], show: Sink) -> None:
        """Let the watcher go on from how its topic stood, or from the last `seq` that it has seen of a request.

        What it has missed it is shown, by `show`, before anything else.
        """
        topic, known = subscription.topic, found.seqs
        watched = self._topics[topic]
        with self._lock:
            first = not watched.ready
            watched.ready = True
            if first:
                self._placed.clear()
            for request_id, seq in known.items() if first else ():
                self._follow(topic, request_id, seq)
            ended = watched.told.keys() & set(found.ended)
            watched.ended |= dict.fromkeys(ended, time.monotonic())
            subscription.over = bool(known) and len(ended) == len(known)
            behind = {one for one, seq in known.items() if first or watched.told.get(one, 0) < seq}
        # What this one has been shown the others have to be told, and what it has missed it is told with them.
        with self._reading:
            self._read(behind)
        shown = known | dict(seen)
        while missing := self._go_on(watched, subscription, shown):
            shown |= self._show(missing, show)

    def replay(self, after: Mapping[str, int], show: Sink) -> None:
        """Show what happened to each of these requests after the `seq` given for it, up to now."""
        while after:
            after = self._show(after, show)

    def leave(self, subscription: Subscription) -> None:
        """End watching; whoever else watches the same isn't touched."""
        with self._lock:
            watched = self._topics[subscription.topic]
            watched.watchers.discard(subscription)
            if not watched.watchers:
                del self._topics[subscription.topic]
                for request_id in watched.told:
                    self._forget(subscription.topic, request_id)

    def hear(self, ids: set[str]) -> None:
        """Read what happened to these requests, as far as somebody watches them, and tell it."""
        with self._reading:
            self._adopt(ids)
            self._read(ids)

    def look(self) -> None:
        """See what happened to all that is watched, heard or not."""
        with self._lock:
            mine = [one for one in self._topics if one.scope.grows]
            live = {
                request_id
                for watched in self._topics.values()
                for request_id in watched.told.keys() - watched.ended.keys()
            }
            self._forget_ended()
        self.hear(live | topics.newcomers(self._rt, mine))

    def close(self) -> None:
        """Let the thread end."""
        self._closing.set()
        if self._listener is not None:
            self._listener.join(_EAR_SECONDS * 3)

    def _listen(self) -> None:
        """Listen; where that fails, look without having heard, and try again."""
        while not self._closing.is_set():
            for act in (self._hear_all, self.look):
                self._bear(act)
            self._closing.wait(_EAR_SECONDS)

    @staticmethod
    def _bear(act: Callable[[], None]) -> None:
        try:
            act()
        except (RedisError, *FAILED) as err:
            _log.warning("live_disturbed", error=type(err).__name__)
        except Exception:  # noqa: BLE001 (one update that can't be told must not end all others)
            _log.exception("live_crashed")

    def _hear_all(self) -> None:
        looked = float("-inf")
        with self._rt.channel.ear() as ear:
            while not self._closing.is_set():
                if time.monotonic() - looked > _LOOK_SECONDS:
                    looked = time.monotonic()
                    self.look()
                heard = ear.wait(_EAR_SECONDS)
                if heard:
                    self.hear(heard)

    def _show(self, after: Mapping[str, int], show: Sink) -> dict[str, int]:
        found = updates.read(self._rt, after)
        for update in found:
            show(update)
        return {update.request_id: update.seq for update in found}

    def _go_on(self, watched: _Watched, subscription: Subscription, seen: dict[str, int]) -> dict[str, int]:
        """Let the watcher go on with all others where nothing is missing between `seen` and what was kept for it.

        Return what is missing else: the last `seq` seen of each request that others were told more of.
        """
        with self._lock:
            kept = {(update.request_id, update.seq) for update in subscription.pending or ()}
            missing = {
                request_id: seq
                for request_id, seq in seen.items()
                if watched.told.get(request_id, 0) > seq and (request_id, seq + 1) not in kept
            }
            if not missing:
                for update in subscription.pending or ():
                    # What isn't among the shown is new, from its first event on, or had ended before.
                    if update.seq == seen.get(update.request_id, 0) + 1:
                        seen[update.request_id] = update.seq
                        subscription.sink(update)
                subscription.pending = None
                subscription.ahead = {one: seq for one, seq in seen.items() if seq > watched.told.get(one, 0)}
        return missing

    def _adopt(self, ids: set[str]) -> None:
        """Follow those that are new in a project that is watched."""
        with self._lock:
            unknown = ids - self._placed
            if not any(one.scope.grows for one in self._topics):
                return
        with self._rt.db.once() as tx:
            found = topics.topics_of(tx, list(unknown)) if unknown else {}
        with self._lock:
            for request_id, places in found.items():
                for topic in places:
                    if topic in self._topics and self._topics[topic].ready:
                        self._follow(topic, request_id, 0)
            self._placed |= unknown & self._by_request.keys()

    def _read(self, ids: set[str]) -> None:
        while wanted := self._wanted(ids):
            found = updates.read(self._rt, wanted)
            self._tell(found)
            if len(found) < PAGE:
                break

    def _wanted(self, ids: Iterable[str]) -> dict[str, int]:
        """Return the least that was told of each of these requests that is watched."""
        with self._lock:
            return {
                request_id: min(
                    self._topics[topic].told[request_id] for topic in self._by_request[request_id]
                )
                for request_id in ids
                if request_id in self._by_request
            }

    def _tell(self, found: list[Update]) -> None:
        with self._lock:
            for update in found:
                for topic in self._by_request.get(update.request_id, ()):
                    self._tell_one(self._topics[topic], update)

    @staticmethod
    def _tell_one(watched: _Watched, update: Update) -> None:
        if update.seq != watched.told[update.request_id] + 1:
            return
        watched.told[update.request_id] = update.seq
        if update.event in ENDINGS:
            watched.ended[update.request_id] = time.monotonic()
        for watcher in watched.watchers:
            if watcher.pending is not None:
                watcher.pending.append(update)
            elif update.seq > watcher.ahead.get(update.request_id, 0):
                watcher.sink(update)

    def _follow(self, topic: Topic, request_id: str, seq: int) -> None:
        self._topics[topic].told.setdefault(request_id, seq)
        self._by_request.setdefault(request_id, set()).add(topic)

    def _forget(self, topic: Topic, request_id: str) -> None:
        following = self._by_request[request_id]
        following.discard(topic)
        if not following:
            del self._by_request[request_id]
            self._placed.discard(request_id)

    def _forget_ended(self) -> None:
        """Let go of a project's requests that ended long ago: it may be watched for days."""
        over = time.monotonic() - _ENDED_FOR
        for topic, watched in self._topics.items():
            if topic.scope is not Scope.PROJECT:
                continue
            for request_id in [one for one, at in watched.ended.items() if at < over]:
                del watched.ended[request_id], watched.told[request_id]
                self._forget(topic, request_id)
