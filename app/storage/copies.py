"""Files from one store to another, each hashed on the way: what arrives is what its name says, or it doesn't arrive."""

import hashlib
import os
from collections.abc import Iterator
from typing import BinaryIO

from app.storage.files import AssetStore

_PIECE = 1 << 20


class _Unreadable(OSError):
    """The disk didn't give a file's content."""


def intact(store: AssetStore, sha256: str) -> bool:
    """Whether the store has the file, readable, with the content that its name says."""
    try:
        with store.open(sha256) as file:
            return _digest(file) == sha256
    except OSError:
        return False


def copy(source: AssetStore, target: AssetStore, sha256: str) -> bool:
    """Copy one file, over one that is there; False where `source` has none, or not with that content.

    Errors of writing are raised as OSError.
    """
    try:
        file = source.open(sha256)
    except OSError:
        return False
    draft = target.draft()
    try:
        with file, draft.open("xb") as written:
            good = _digest(file, written) == sha256
        if good:
            target.publish(draft, sha256)
    except _Unreadable:
        return False
    finally:
        draft.unlink(missing_ok=True)
    return good


def _digest(file: BinaryIO, copied_to: BinaryIO | None = None) -> str:
    digest = hashlib.sha256()
    for piece in _pieces(file):
        digest.update(piece)
        if copied_to:
            copied_to.write(piece)
    if copied_to:
        copied_to.flush()
        os.fsync(copied_to.fileno())
    return digest.hexdigest()


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    while True:
        try:
            piece = file.read(_PIECE)
        except OSError as err:
            raise _Unreadable from err
        if not piece:
            return
        yield piece
