"""The other service of benchmarks/scene_reads.py: each read adds one to a counter, and commits it."""

import os
import sqlite3
import threading
from typing import Any

from fastapi import FastAPI

_PATH = os.environ["COUNTING_READS"]
_mine = threading.local()


def _connection() -> sqlite3.Connection:
    """Return this thread's connection, with SQLite's own defaults but for its patience."""
    if not hasattr(_mine, "db"):
        _mine.db = sqlite3.connect(_PATH, timeout=30)
        _mine.db.row_factory = sqlite3.Row
    found: sqlite3.Connection = _mine.db
    return found


def _make() -> None:
    with _connection() as db:
        db.execute(
            "CREATE TABLE IF NOT EXISTS images (id INTEGER PRIMARY KEY, subject_name TEXT, prompt TEXT, uses INTEGER)"
        )
        db.execute(
            "CREATE TABLE IF NOT EXISTS scenes (location TEXT PRIMARY KEY, image_id INTEGER, uses INTEGER)"
        )
        db.execute("INSERT OR IGNORE INTO images VALUES (1, 'Keep', 'A keep', 0)")
        db.execute("INSERT OR IGNORE INTO scenes VALUES ('Keep', 1, 0)")


_make()
app = FastAPI()


@app.get("/images/{image_id}")
def image(image_id: int) -> dict[str, Any]:
    with _connection() as db:
        row = db.execute("SELECT * FROM images WHERE id = ?", (image_id,)).fetchone()
        db.execute("UPDATE images SET uses = uses + 1 WHERE id = ?", (image_id,))
    return dict(row)


@app.post("/scenes/generate")
def scene(location: str) -> dict[str, Any]:
    with _connection() as db:
        row = db.execute(
            "SELECT i.* FROM scenes AS s JOIN images AS i ON i.id = s.image_id WHERE s.location = ?",
            (location,),
        ).fetchone()
        db.execute("UPDATE scenes SET uses = uses + 1 WHERE location = ?", (location,))
    return dict(row)
