"""A scene that is asked for, and what its owner's cache has of it."""

import uuid
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from app.runtime import Runtime
from app.services.library import assets
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


def shown(rt: Runtime, tx: Connection, owner_id: uuid.UUID, scene: Scene) -> Picture | None:
    """Return the picture that shows the scene now; None where there is none, or it is too old."""
    row = tx.execute(_SHOWN, given(rt, owner_id, scene)).mappings().one_or_none()
    return Picture(assets.of_row(row)) if row else None


def making(tx: Connection, owner_id: uuid.UUID, scene: Scene) -> tuple[str, str] | None:
    """Return (asset, request) of the picture that is being made of it, if one is."""
    row = tx.execute(_MAKING, {"owner": owner_id, **scene.key}).one_or_none()
    return (row.id, row.request_id) if row else None


def given(rt: Runtime, owner_id: uuid.UUID, scene: Scene) -> dict[str, Any]:
    """Return what statements about a scene are told."""
    return {"owner": owner_id, **scene.key, "seconds": rt.settings.scene_days * DAY_SECONDS}


IS_IT = "owner_id = :owner AND location = :location AND time_of_day = :time_of_day AND weather = :weather"
# The one before is shown until the new one is there, and again where that came to nothing.
_SHOWN = text(f"""
SELECT {assets.COLUMNS}
FROM (SELECT asset_id, former_id FROM scene_cache WHERE {IS_IT}) AS s
JOIN library_assets AS l ON l.id IN (s.asset_id, s.former_id) AND l.deleted_at IS NULL
    AND l.ready_at > statement_timestamp() - make_interval(secs => :seconds)
ORDER BY l.id = s.asset_id DESC LIMIT 1
""")
_MAKING = text(f"""
SELECT l.id, l.request_id
FROM (SELECT asset_id FROM scene_cache WHERE {IS_IT}) AS s
JOIN library_assets AS l ON l.id = s.asset_id AND l.ready_at IS NULL AND l.deleted_at IS NULL
JOIN generation_requests AS r ON r.id = l.request_id AND r.completed_at IS NULL
""")
