"""A scene that is asked for, and how its owner's cache stands to it. One statement reads that."""

import uuid
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from app.runtime import Runtime
from app.services.pictures import found
from app.services.pictures.found import Picture
from app.services.pictures.wish import Shape, Subject, Wish

DAY_SECONDS = 86_400


def plain(words: str) -> str:
    """Return the words as they are compared: in lower case, with single spaces."""
    return " ".join(words.split()).casefold()


@dataclass(frozen=True)
class Scene:
    location: str
    time_of_day: str = "day"
    weather: str = "clear"

    @property
    def key(self) -> dict[str, str]:
        return {
            "location": plain(self.location),
            "time_of_day": plain(self.time_of_day),
            "weather": plain(self.weather),
        }

    @property
    def wish(self) -> Wish:
        """The picture that shows it."""
        prompt = f"The place by {self.time_of_day}; the weather is {self.weather}"
        return Wish(Subject.SCENE, self.location, prompt, aspect_ratio=Shape.WIDE)


@dataclass(frozen=True)
class Standing:
    """`shown` is fresh and can be had now. `making` is (asset, request) of the one that is drawn meanwhile, if one is."""

    shown: Picture | None = None
    making: tuple[str, str] | None = None


def standing(rt: Runtime, tx: Connection, owner_id: uuid.UUID, scene: Scene) -> Standing:
    """Return how the scene stands."""
    row = tx.execute(_LOOK, given(rt, owner_id, scene)).mappings().one_or_none()
    if row is None:
        return Standing()
    shown = found.of_row(row) if row["id"] is not None else None
    making = (row["making_id"], row["making_request"]) if row["making_id"] is not None else None
    return Standing(shown, making)


def given(rt: Runtime, owner_id: uuid.UUID, scene: Scene) -> dict[str, Any]:
    """Return what statements about a scene are told."""
    return {"owner": owner_id, **scene.key, "seconds": rt.settings.scene_days * DAY_SECONDS}


IS_IT = "owner_id = :owner AND location = :location AND time_of_day = :time_of_day AND weather = :weather"
# The one before is shown until the new one is there, and again where that came to nothing.
_LOOK = text(f"""
SELECT {found.COLUMNS}, making.id AS making_id, making.request_id AS making_request
FROM (SELECT asset_id, former_id FROM scene_cache WHERE {IS_IT}) AS s
LEFT JOIN LATERAL (
    SELECT fresh.* FROM library_assets AS fresh
    WHERE fresh.id IN (s.asset_id, s.former_id) AND fresh.deleted_at IS NULL
        AND fresh.ready_at > statement_timestamp() - make_interval(secs => :seconds)
    ORDER BY fresh.id = s.asset_id DESC LIMIT 1) AS l ON true
{found.MADE}
LEFT JOIN LATERAL (
    SELECT n.id, n.request_id FROM library_assets AS n JOIN generation_requests AS r ON r.id = n.request_id
    WHERE n.id = s.asset_id AND n.ready_at IS NULL AND n.deleted_at IS NULL AND r.completed_at IS NULL
    ) AS making ON true
""")
