"""The rows of stored files: kept while a request, an upload or the library refers to them, and let go a day after nothing does.

Whoever publishes or removes a file holds the lock of its row while it does, so that one can't undo the other.
"""

from collections.abc import Sequence

from sqlalchemy import Connection, text

from app.domain.verdict import Stored


def keep(tx: Connection, files: Sequence[Stored]) -> None:
    """Lock, or write, the rows of these files. The files themselves are published under that lock."""
    for file in sorted(files, key=lambda file: file.sha256):
        tx.execute(
            _KEEP,
            {
                "sha256": file.sha256,
                "mime": file.mime,
                "bytes": file.bytes,
                "width": file.width,
                "height": file.height,
            },
        )


def unreferenced(tx: Connection, older_than: float, limit: int = 100) -> list[str]:
    """Return hashes of files that nothing refers to and nobody kept for `older_than` seconds."""
    return list(tx.execute(_UNREFERENCED, {"seconds": older_than, "limit": limit}).scalars())


def let_go(tx: Connection, sha256: str, older_than: float) -> bool:
    """Delete the row if it is still unreferenced; the file may be removed before this transaction ends."""
    return tx.execute(_LET_GO, {"sha256": sha256, "seconds": older_than}).one_or_none() is not None


def stray(tx: Connection, sha256: str) -> bool:
    """Whether no row knows the file. Locks the hash until the end of the transaction, which must not commit."""
    return tx.execute(_STRAY, {"sha256": sha256}).one_or_none() is not None


_FREE = """
    NOT EXISTS (SELECT FROM request_assets AS r WHERE r.sha256 = a.sha256)
    AND NOT EXISTS (SELECT FROM uploads AS u WHERE u.sha256 = a.sha256)
    AND NOT EXISTS (SELECT FROM library_files AS l WHERE l.sha256 = a.sha256)
"""
_KEEP = text("""
INSERT INTO assets (sha256, mime, bytes, width, height) VALUES (:sha256, :mime, :bytes, :width, :height)
ON CONFLICT (sha256) DO UPDATE SET kept_at = clock_timestamp()
""")
_UNREFERENCED = text(f"""
SELECT sha256 FROM assets AS a
WHERE kept_at < statement_timestamp() - make_interval(secs => :seconds) AND {_FREE}
ORDER BY kept_at LIMIT :limit
""")
_LET_GO = text(f"""
DELETE FROM assets AS a WHERE sha256 = :sha256
    AND kept_at < clock_timestamp() - make_interval(secs => :seconds) AND {_FREE}
RETURNING sha256
""")
_STRAY = text("""
INSERT INTO assets (sha256, mime, bytes, width, height) VALUES (:sha256, '', 0, 0, 0)
ON CONFLICT DO NOTHING RETURNING sha256
""")
