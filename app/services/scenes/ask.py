"""A scene is asked for: shown where it is cached, waited for where it is drawn, drawn where neither is so.

However many ask for the same scene at once, one of them draws it: the row of scene_cache is taken and locked in the
transaction that enqueues the request, which is rolled back where somebody else was first.
"""

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection, text

from app.queue import enqueue
from app.runtime import Runtime
from app.services.identity import Who
from app.services.pictures import generate
from app.services.pictures.found import Picture
from app.services.scenes import scene as scenes
from app.services.scenes.scene import Scene
from app.services.submit import Answer, Key


@dataclass(frozen=True)
class Shown:
    """It was there."""

    picture: Picture


@dataclass(frozen=True)
class Drawn:
    """It is drawn; `begun` by this call, else by one before."""

    image_id: str
    request_id: str
    begun: bool
    replayed: bool = False


class _Settled(Exception):
    """There is nothing to draw, after all."""

    def __init__(self, outcome: Shown | Drawn) -> None:
        self.outcome = outcome


def ask(
    rt: Runtime,
    who: Who,
    scene: Scene,
    *,
    force: bool,
    charge: Callable[[], None],
    key: Key | None,
    traceparent: str | None,
) -> Shown | Drawn:
    """Return the scene, or what draws it; `force` has it drawn anew, and it is shown as it was until then.

    `charge` is called once, by the one call that draws; nothing is written where it raises. A scene that is drawn
    already isn't drawn twice, `force` or not. Raises as generate.generate does.
    """
    with rt.db.once() as tx:
        # What a used key was answered with comes before what is cached; writing finds it.
        used = key is not None and enqueue.replay(tx, who.user_id, key.route, key.value) is not None
        if not used and (outcome := _settled(rt, tx, who, scene, force=force)):
            return outcome
    charged = False

    def take_place(tx: Connection) -> None:
        nonlocal charged
        tx.execute(_TAKE, scenes.given(rt, who.user_id, scene))
        # Statements of their own, which see what those did who had the lock before.
        if outcome := _settled(rt, tx, who, scene, force=force):
            raise _Settled(outcome)
        if not charged:
            charge()
            charged = True

    def fill_place(tx: Connection, asset_id: str) -> None:
        tx.execute(_FILL, {**scenes.given(rt, who.user_id, scene), "asset": asset_id})

    try:
        answer = generate.generate(
            rt,
            who,
            scene.wish,
            share=not force,
            before=take_place,
            after=fill_place,
            key=key,
            traceparent=traceparent,
        )
    except _Settled as early:
        return early.outcome
    return _drawn(answer)


def _settled(rt: Runtime, tx: Connection, who: Who, scene: Scene, *, force: bool) -> Shown | Drawn | None:
    """Return what there is without drawing it; one statement where it is shown."""
    if not force and (picture := scenes.shown(rt, tx, who.user_id, scene)):
        return Shown(picture)
    if made := scenes.making(tx, who.user_id, scene):
        return Drawn(*made, begun=False)
    return None


def _drawn(answer: Answer) -> Drawn:
    body = answer.body
    return Drawn(body["id"], body["request_id"], begun=not answer.replayed, replayed=answer.replayed)


# Whoever else takes the same place waits here until this transaction has ended.
_TAKE = text("""
INSERT INTO scene_cache (owner_id, location, time_of_day, weather, fresh_until)
VALUES (:owner, :location, :time_of_day, :weather, clock_timestamp() + make_interval(secs => :seconds))
ON CONFLICT (owner_id, location, time_of_day, weather) DO UPDATE SET used_at = clock_timestamp()
""")
# What was there and ready becomes the one before; one that came to nothing is forgotten.
_FILL = text(f"""
UPDATE scene_cache AS s SET asset_id = :asset, former_id = CASE
        WHEN EXISTS (SELECT FROM library_assets AS l WHERE l.id = s.asset_id AND l.ready_at IS NOT NULL)
        THEN s.asset_id ELSE s.former_id END,
    fresh_until = clock_timestamp() + make_interval(secs => :seconds)
WHERE {scenes.IS_IT}
""")
