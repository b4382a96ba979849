"""What a browser has kept becomes pictures of the library and scenes of the cache, one by one.

A bad one doesn't keep the others out, and whoever sends the same again gets no second copy: what was interrupted is
simply sent again.
"""

import hashlib
import shutil
import time
from binascii import a2b_base64
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from threading import BoundedSemaphore
from typing import Any, BinaryIO

import structlog
from sqlalchemy import text

from app.domain.errors import HouseError, Unavailable
from app.domain.storable import storable
from app.domain.vocabulary import Kind
from app.providers import sniff
from app.queue import assets as files
from app.runtime import Runtime
from app.services.identity import Who
from app.services.library import assets
from app.services.library.assets import Collection, NewAsset
from app.services.pictures import feature, saved
from app.services.pictures.saved import Saved, Section
from app.services.pictures.wish import Shape, Subject
from app.services.scenes import cache
from app.services.scenes.scene import Scene
from app.storage.finish import BadImage, Finish, Finished, Provenance

_log = structlog.get_logger(__name__)
LARGEST = 10 << 20
# What isn't reached within it is sent again; what was before is found then by its hash.
SECONDS = 100.0
_LONGEST = {"name": 200, "time_of_day": 50, "weather": 50}
_TIMES = {
    *("dawn", "sunrise", "morning", "day", "noon", "afternoon"),
    *("dusk", "sunset", "evening", "night", "midnight"),
}
# Others want to have their pictures finished, too.
_line = BoundedSemaphore(2)


class Outcome(StrEnum):
    IMPORTED = "imported"
    DUPLICATE = "duplicate"
    FAILED = "failed"


class _Unusable(HouseError):
    """The entry can't be taken; the message says why."""


@dataclass(frozen=True)
class Result:
    """What became of one entry: the id of its picture, or why there is none."""

    kind: str
    key: str
    status: Outcome
    image_id: str | None = None
    error: str | None = None


def bring(rt: Runtime, who: Who, stream: Any) -> list[Result]:
    """Read the text from `stream`, import what it holds, and tell of each entry.

    Raises Invalid, with nothing imported, where it is not such a text; Unavailable where it can't be taken now.
    """
    # The turn comes after the body: who sends slowly keeps nobody waiting.
    with _on_disk(rt, stream) as file, _turn():
        saved.check(file)
        ends = time.monotonic() + SECONDS
        return [_one(rt, who, entry, ends) for entry in saved.read(file)]


@contextmanager
def _turn() -> Iterator[None]:
    if not _line.acquire(blocking=False):
        raise Unavailable("Too many imports are under way; try again.", retry_after=10)
    try:
        yield
    finally:
        _line.release()


@contextmanager
def _on_disk(rt: Runtime, stream: Any) -> Iterator[BinaryIO]:
    try:
        draft = rt.store.draft()
        file = draft.open("w+b")
    except OSError as err:
        raise _no_place(err) from err
    try:
        with file:
            try:
                shutil.copyfileobj(stream, file, 1 << 20)
                file.flush()
            except OSError as err:
                raise _no_place(err) from err
            yield file
    finally:
        draft.unlink(missing_ok=True)


def _one(rt: Runtime, who: Who, entry: Saved, ends: float) -> Result:
    kind, key = entry.section.kind, entry.key[:500]
    try:
        _in_time(ends)
        image_id, new = _import(rt, who, entry)
    except (HouseError, BadImage) as err:
        return Result(kind, key, Outcome.FAILED, error=str(err))
    return Result(kind, key, Outcome.IMPORTED if new else Outcome.DUPLICATE, image_id)


def _in_time(ends: float) -> None:
    if time.monotonic() > ends:
        raise _Unusable("There was no time left for it; send it again.")


def _import(rt: Runtime, who: Who, entry: Saved) -> tuple[str, bool]:
    """Return the picture's id, and whether it is new, or back from the trash."""
    scene = _scene(entry) if entry.section is Section.SCENE else None
    asset = _asset(rt, entry, scene)
    content = _content(entry.image)
    key = hashlib.sha256(f"{entry.section}\n{entry.key}\n".encode() + content).hexdigest()
    if known := _known(rt, who, key, scene):
        return known
    made = _finished(rt, content, asset)
    asset = replace(asset, import_key=key, files={file.role: file.facts.sha256 for file in made})
    try:
        new = rt.db.again(lambda: _keep(rt, who, asset, made, scene))
    except OSError as err:
        raise _no_place(err) from err
    finally:
        for file in made:
            file.draft.unlink(missing_ok=True)
    if not new:
        return _brought_meanwhile(rt, who, key, scene)
    if entry.more.get("is_featured") is True:
        feature.feature(rt, who, asset.id, featured=True)
    return asset.id, True


def _brought_meanwhile(rt: Runtime, who: Who, key: str, scene: Scene | None) -> tuple[str, bool]:
    if known := _known(rt, who, key, scene):
        return known
    raise _Unusable("It was thrown away just now; send it again.")


def _keep(rt: Runtime, who: Who, asset: NewAsset, made: Sequence[Finished], scene: Scene | None) -> bool:
    with rt.db.begin() as tx:
        # The row's lock comes before the file, so that a clean-up can't take away what is being kept.
        files.keep(tx, [file.facts for file in made])
        for file in made:
            rt.store.publish(file.draft, file.facts.sha256)
        new = assets.put(tx, who.user_id, asset)
        if new and scene:
            cache.keep(rt, tx, who.user_id, scene, asset.id)
        return new


def _content(image: str | None) -> bytes:
    """Return the bytes of base64, which may be a data URL. Raises _Unusable."""
    if image is None:
        raise _Unusable("There is no image in it.")
    start = image.find(",", 0, 300) + 1 if image.startswith("data:") else 0
    if (len(image) - start) // 4 * 3 > LARGEST + 3:
        raise _Unusable(f"The image is over {LARGEST >> 20} MB.")
    try:
        content = a2b_base64(image[start:], strict_mode=True)
    except ValueError as err:
        raise _Unusable("The image is not valid base64.") from err
    if len(content) > LARGEST:
        raise _Unusable(f"The image is over {LARGEST >> 20} MB.")
    if sniff.mime_of(content) not in sniff.PICTURES:
        raise _Unusable("This is not a PNG, JPEG, WebP or AVIF image.")
    return content


def _finished(rt: Runtime, content: bytes, asset: NewAsset) -> tuple[Finished, ...]:
    source = Provenance(asset.prompt or "", Kind.PICTURE, provider="import", model="", request_id="")
    try:
        return rt.finisher.finish(content, Finish(None, line_art=False, provenance=source))
    except OSError as err:
        raise _no_place(err) from err


def _known(rt: Runtime, who: Who, key: str, scene: Scene | None) -> tuple[str, bool] | None:
    """Return the id of what was brought before, and whether it was in the trash; it is there now, and shows its scene."""

    def act() -> tuple[str, bool] | None:
        with rt.db.begin() as tx:
            row = tx.execute(_KNOWN, {"owner": who.user_id, "key": key}).one_or_none()
            if row is None:
                return None
            if row.deleted:
                tx.execute(_BACK, {"id": row.id})
            if scene:
                cache.keep(rt, tx, who.user_id, scene, row.id)
            return row.id, row.deleted

    return rt.db.again(act)


def _asset(rt: Runtime, entry: Saved, scene: Scene | None) -> NewAsset:
    """Return what is kept of the entry beside its files. Raises _Unusable."""
    name = _short("name", scene.location if scene else entry.key.removeprefix("item_image_"))
    custom, prompt = _words(entry, "custom_prompt", 200), _words(entry, "prompt", 1000)
    told = {
        "custom_prompt": custom,
        "aspect_ratio": str(Shape.WIDE if scene else Shape.SQUARE),
        "component": "scene-viewer" if scene else "item-modal",
        "imported": True,
    }
    return NewAsset(
        assets.new_id(rt),
        Collection.IMAGE,
        type=str(Subject.SCENE if scene else Subject.ITEM),
        name=name,
        prompt=prompt or (scene.wish.prompt if scene else f"Item: {name}"),
        metadata=told,
    )


def _scene(entry: Saved) -> Scene:
    """Return the scene that the key names: scene_cache_<location>_<time of day>_<weather>. Raises _Unusable."""
    parts = entry.key.removeprefix("scene_cache_").split("_")
    # A place's name may hold the mark that parts them.
    at = next((n for n, part in enumerate(parts[1:-1], 1) if part.casefold() in _TIMES), 1)
    location, time_of_day, weather = (
        "_".join(part) for part in (parts[:at], parts[at : at + 1], parts[at + 1 :])
    )
    if not (location.strip() and time_of_day.strip() and weather.strip()):
        raise _Unusable("The key must be scene_cache_<location>_<time of day>_<weather>.")
    return Scene(location.strip(), _short("time_of_day", time_of_day), _short("weather", weather))


def _short(what: str, words: str) -> str:
    found = words.strip()
    if not found or len(found) > _LONGEST[what] or not storable(found):
        raise _Unusable(f"The key's {what.replace('_', ' ')} must have 1 to {_LONGEST[what]} characters.")
    return found


def _words(entry: Saved, name: str, longest: int) -> str | None:
    """Return a text beside the picture; None where there is none that can be kept."""
    found = entry.more.get(name)
    good = isinstance(found, str) and found and len(found) <= longest and storable(found)
    return str(found) if good else None


def _no_place(err: OSError) -> Unavailable:
    _log.error("import_not_stored", error=type(err).__name__, errno=err.errno)
    return Unavailable("Images can't be stored now; send it again.")


# Locked, so that it isn't purged while it comes back.
_KNOWN = text("""
SELECT id, deleted_at IS NOT NULL AS deleted FROM library_assets
WHERE owner_id = :owner AND collection = 'image' AND import_key = :key FOR UPDATE
""")
# However long it was in the trash: whoever sends it again wants it.
_BACK = text("UPDATE library_assets SET deleted_at = NULL, version = version + 1 WHERE id = :id")
