"""Begin to watch: first how the topic stands, then everything that happens to it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any

from app.runtime import Runtime
from app.services.identity import Who
from app.services.live import topic as topics
from app.services.live.hub import Hub, Sink, Subscription
from app.services.live.topic import Scope, Standing, Topic

# The requests of a batch or project that are shown in one message.
_PAGE = 100
# What the watcher has seen: the last `seq` of each request, or one number for all.
After = int | Mapping[str, int] | None
Say = Callable[[dict[str, Any]], None]


def follow(
    rt: Runtime, hub: Hub, who: Who, topic: Topic, after: After, *, say: Say, show: Sink, sink: Sink
) -> Subscription:
    """Say how the topic stands, then let `sink` be told what happens to it. Raises NotFound.

    With `after`, what happened since is shown instead: all of it, in order, and nothing twice. What the watcher
    can't have seen (a `seq` that hasn't been yet) is told anew, and that it is: `resync`. Only `sink` may not wait.
    """
    with ExitStack() as undo:
        subscription = hub.join(topic, sink)
        undo.callback(hub.leave, subscription)
        found = topics.standing(rt, who, topic)
        seen, older = _seen(rt, topic, found, after)
        resync = any(seq > found.seqs[one] for one, seq in seen.items())
        fresh = found.seqs.keys() if resync else found.seqs.keys() - seen.keys()
        say({"type": "subscribed", **topic.named(), **({"resync": True} if resync else {})})
        for message in _snapshot(topic, found, fresh, after):
            say(message)
        hub.replay(older, show)
        hub.start(subscription, found, {} if resync else seen, show)
        undo.pop_all()
    return subscription


def _seen(
    rt: Runtime, topic: Topic, found: Standing, after: After
) -> tuple[dict[str, int], Mapping[str, int]]:
    """Return what the watcher has seen of the requests that stand here, and of its older ones."""
    if after is None:
        return {}, {}
    if isinstance(after, int):
        single = topic.scope is Scope.REQUEST
        return {one: after if single else min(after, seq) for one, seq in found.seqs.items()}, {}
    known = {one: seq for one, seq in after.items() if one in found.seqs}
    others = {one: seq for one, seq in after.items() if one not in known}
    return known, topics.members(rt, topic, others) if others else {}


def _snapshot(topic: Topic, found: Standing, fresh: Any, after: After) -> Iterator[dict[str, Any]]:
    rows = [row for row in found.shown if row["requestId"] in fresh]
    if topic.scope is Scope.REQUEST:
        for row in rows:
            yield {"type": "snapshot", "requestId": row["requestId"], "seq": row["seq"], "data": row}
        return
    if not rows and after is not None:
        return
    for start in range(0, max(1, len(rows)), _PAGE):
        data = {"requests": rows[start : start + _PAGE], "more": start + _PAGE < len(rows)}
        yield {"type": "snapshot", **topic.named(), "data": data}
