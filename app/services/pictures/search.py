"""Pictures that are there, by what they are of and by words in what was said of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import TextClause, text

from app.runtime import Runtime
from app.services.identity import Who
from app.services.library import assets
from app.services.pictures.found import Picture
from app.services.pictures.wish import Subject


class Sort(StrEnum):
    FEATURED = "featured"
    NEWEST = "newest"
    OLDEST = "oldest"
    MOST_USED = "most_used"
    NAME = "name"


@dataclass(frozen=True)
class Wanted:
    """What the pictures are narrowed to; None leaves a field open. `q` is words as one types them into a search."""

    subject_name: str | None = None
    subject_type: Subject | None = None
    is_featured: bool | None = None
    q: str | None = None


@dataclass(frozen=True)
class Page:
    items: list[Picture]
    total: int


def search(rt: Runtime, who: Who, wanted: Wanted, sort: Sort, *, page: int, size: int) -> Page:
    """Return page `page` (from 1) of `size` pictures, and how many there are in all."""
    given = {
        "owner": who.scope,
        "name": wanted.subject_name,
        "type": str(wanted.subject_type) if wanted.subject_type else None,
        "featured": wanted.is_featured,
        "q": wanted.q,
    }
    with rt.db.once() as tx:
        total = tx.execute(_count(given), given).scalar_one()
        rows = tx.execute(_page(given, sort), {**given, "skip": (page - 1) * size, "size": size}).mappings()
        return Page([Picture(assets.of_row(row)) for row in rows], total)


def _count(given: Mapping[str, Any]) -> TextClause:
    return text(f"SELECT count(*) FROM library_assets AS l WHERE {_where(given)}")


def _page(given: Mapping[str, Any], sort: Sort) -> TextClause:
    # The page is found first: what belongs to its pictures is not read of all the others.
    return text(f"""
WITH page AS MATERIALIZED (
    SELECT l.id AS page_id, row_number() OVER (ORDER BY {_ORDER[sort]}) AS n FROM library_assets AS l
    WHERE {_where(given)} ORDER BY {_ORDER[sort]} OFFSET :skip LIMIT :size
)
SELECT {assets.COLUMNS} FROM page JOIN library_assets AS l ON l.id = page_id ORDER BY n
""")


def _where(given: Mapping[str, Any]) -> str:
    # Only what was asked for is in the statement, so that each combination gets the plan that fits it.
    narrowed = [condition for name, condition in _NARROW.items() if given[name] is not None]
    return " AND ".join([_THERE, *narrowed])


_THERE = "l.collection = 'image' AND l.deleted_at IS NULL AND l.ready_at IS NOT NULL"
_NARROW = {
    "owner": "l.owner_id = :owner",
    "name": "l.name = :name",
    "type": "l.type = :type",
    "featured": "l.featured = :featured",
    "q": "l.search @@ websearch_to_tsquery('simple', :q)",
}
_ORDER = {
    Sort.FEATURED: "l.featured DESC, l.created_at DESC, l.id DESC",
    Sort.NEWEST: "l.created_at DESC, l.id DESC",
    Sort.OLDEST: "l.created_at, l.id",
    Sort.MOST_USED: "l.uses DESC, l.created_at DESC, l.id DESC",
    Sort.NAME: "lower(l.name), l.created_at DESC, l.id DESC",
}
